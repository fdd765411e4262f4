//! Nothing here: the tests live in `system/`.
