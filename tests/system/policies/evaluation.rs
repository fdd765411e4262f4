//! IAM's evaluation of statements, as far as the templates use it: an explicit denial wins, then an allowance.
//! docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html

use serde_json::Value;

use super::calls::Call;
use super::template::list;

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Allowed,
    Denied,
    /// Nothing speaks of it: refused as well, unless another policy allows it.
    Neither,
}

pub(crate) fn judge(statements: &[Value], call: &Call) -> Verdict {
    let speaks = |effect: &str| statements.iter().any(|s| s["Effect"] == effect && applies(s, call));
    if speaks("Deny") {
        Verdict::Denied
    } else if speaks("Allow") {
        Verdict::Allowed
    } else {
        Verdict::Neither
    }
}

fn applies(statement: &Value, call: &Call) -> bool {
    for field in statement.as_object().unwrap().keys() {
        let known = ["Sid", "Effect", "Principal", "Action", "Resource", "Condition"];
        assert!(known.contains(&field.as_str()), "{field} is not known here");
    }
    let action = call.action.to_lowercase();
    any(&statement["Action"], |pattern| matches(&pattern.to_lowercase(), &action))
        && any(&statement["Resource"], |pattern| matches(pattern, &call.resource))
        && conditions_hold(&statement["Condition"], call)
}

fn any(patterns: &Value, test: impl Fn(&str) -> bool) -> bool {
    list(patterns).iter().any(|pattern| test(pattern.as_str().unwrap()))
}

/// All operators and all keys of a condition must hold, and one of a key's values.
fn conditions_hold(conditions: &Value, call: &Call) -> bool {
    let Some(conditions) = conditions.as_object() else { return true };
    conditions.iter().all(|(operator, keys)| {
        keys.as_object().unwrap().iter().all(|(key, values)| holds(operator, values, call.context(key)))
    })
}

fn holds(operator: &str, values: &Value, actual: Option<&str>) -> bool {
    if let Some(operator) = operator.strip_suffix("IfExists") {
        return actual.is_none() || holds(operator, values, actual);
    }
    match operator {
        "Null" => any(values, |wanted| (wanted == "true") == actual.is_none()),
        // A key that is not there is unequal to everything.
        "StringNotEquals" => !actual.is_some_and(|actual| any(values, |value| value == actual)),
        "StringEquals" | "Bool" => actual.is_some_and(|actual| any(values, |value| value == actual)),
        "ArnEquals" | "ArnLike" | "StringLike" => {
            actual.is_some_and(|actual| any(values, |value| matches(value, actual)))
        }
        "NumericLessThan" => compare(values, actual, |actual, value| actual < value),
        "NumericGreaterThan" => compare(values, actual, |actual, value| actual > value),
        other => panic!("{other} is not known here"),
    }
}

fn compare(values: &Value, actual: Option<&str>, holds: fn(f64, f64) -> bool) -> bool {
    let number = |value: &Value| value.as_f64().or_else(|| value.as_str()?.parse().ok()).unwrap();
    let Some(actual) = actual else { return false };
    let actual = actual.parse().unwrap();
    list(values).iter().any(|value| holds(actual, number(value)))
}

/// `*` stands for any text, `?` for any character.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.chars().next() {
        None => text.is_empty(),
        Some('*') => {
            let rest = &pattern[1..];
            text.char_indices().any(|(at, _)| matches(rest, &text[at..])) || matches(rest, "")
        }
        Some(wanted) => {
            let mut characters = text.chars();
            characters.next().is_some_and(|c| wanted == '?' || wanted == c)
                && matches(&pattern[wanted.len_utf8()..], characters.as_str())
        }
    }
}

#[test]
fn patterns_match_as_in_iam() {
    for (pattern, text, expected) in [
        ("*", "", true),
        ("*", "s3:GetObject", true),
        ("s3:Get*", "s3:GetObject", true),
        ("s3:Get*", "s3:PutObject", false),
        ("arn:aws:s3:::vault/*", "arn:aws:s3:::vault", false),
        ("arn:aws:s3:::vault/clinic/*", "arn:aws:s3:::vault/clinic/a/b.zip", true),
        ("a?c", "abc", true),
        ("a?c", "ac", false),
        ("*b*", "abc", true),
        ("ab", "abc", false),
    ] {
        assert_eq!(matches(pattern, text), expected, "{pattern} and {text:?}");
    }
}
