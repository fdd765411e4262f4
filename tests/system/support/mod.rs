//! What the tests share: where the servers are, scratch databases, running programs.

pub(crate) mod aws;
pub(crate) mod faults;
pub(crate) mod gate;
pub(crate) mod lambda;
pub(crate) mod mariadb;
pub(crate) mod nightvault;
pub(crate) mod postgres;
pub(crate) mod program;
pub(crate) mod s3;

/// The value of a variable that `tests/run` sets.
pub(crate) fn given(name: &str) -> String {
    #[allow(clippy::disallowed_methods, reason = "a test is a door: tests/run speaks to it through the environment")]
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run the tests with tests/run"))
}
