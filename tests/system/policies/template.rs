//! A template with its parameters filled in: conditions decided, references replaced by made-up ARNs.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::{Map, Value, json};

use super::calls::ACCOUNT;

pub(crate) struct Stack {
    template: Value,
    parameters: BTreeMap<String, Value>,
}

impl Stack {
    /// Reads a template; parameters that are not given have their defaults, and must have one.
    pub(crate) fn open(path: &str, given: &[(&str, Value)]) -> Self {
        let template = parse(path);
        let mut parameters = BTreeMap::new();
        for (name, parameter) in template["Parameters"].as_object().unwrap() {
            let value = given.iter().find(|(given, _)| given == name).map_or(&parameter["Default"], |(_, value)| value);
            let value = match value {
                Value::String(text) if parameter["Type"] == "CommaDelimitedList" => {
                    json!(text.split(',').collect::<Vec<_>>())
                }
                value => value.clone(),
            };
            parameters.insert(name.clone(), value);
        }
        for (name, _) in given {
            assert!(parameters.contains_key(*name), "{path} has no parameter {name}");
        }
        Self { template, parameters }
    }

    /// The stack within this one, with the parameters that this one hands it and with no others.
    pub(crate) fn nested(&self, resource: &str) -> Self {
        let properties = self.properties(resource);
        let path = properties["TemplateURL"].as_str().unwrap_or_else(|| panic!("{resource} is no nested stack"));
        let given = properties["Parameters"].as_object().into_iter().flatten();
        let given: Vec<(&str, Value)> = given.map(|(name, value)| (name.as_str(), value.clone())).collect();
        let stack = Self::open(path, &given);
        let missing: Vec<_> = stack.parameters.iter().filter(|(_, value)| value.is_null()).collect();
        assert!(missing.is_empty(), "{path} is not given {missing:?}");
        stack
    }

    /// What the stack hands out under this name, resolved.
    pub(crate) fn output(&self, name: &str) -> Value {
        let output = &self.template["Outputs"][name]["Value"];
        assert!(!output.is_null(), "there is no output {name}");
        self.resolve(output).expect("an output is not AWS::NoValue")
    }

    /// The properties of a resource, resolved.
    pub(crate) fn properties(&self, resource: &str) -> Value {
        let properties = &self.template["Resources"][resource]["Properties"];
        assert!(properties.is_object(), "there is no {resource}");
        self.resolve(properties).expect("properties are not AWS::NoValue")
    }

    /// All statements of a role, its managed policies' included.
    pub(super) fn statements_of(&self, role: &str) -> Vec<Value> {
        let properties = self.properties(role);
        let mut statements = Vec::new();
        for policy in list(&properties["Policies"]) {
            statements.extend(list(&policy["PolicyDocument"]["Statement"]));
        }
        // What stands beside the roles and is put into several of them.
        for (name, resource) in self.template["Resources"].as_object().unwrap() {
            if resource["Type"] == "AWS::IAM::Policy" {
                let policy = self.properties(name);
                if list(&policy["Roles"]).contains(&json!(format!("arn:here:{role}"))) {
                    statements.extend(list(&policy["PolicyDocument"]["Statement"]));
                }
            }
        }
        for policy in list(&properties["ManagedPolicyArns"]) {
            let arn = policy.as_str().unwrap();
            // One of AWS's is wider than any of these roles should be, and unknown here.
            let name = arn.strip_prefix("arn:here:").unwrap_or_else(|| panic!("{role} has the foreign policy {arn}"));
            statements.extend(list(&self.properties(name)["PolicyDocument"]["Statement"]));
        }
        assert!(!statements.is_empty(), "{role} has no statement");
        statements
    }

    /// `None` is `AWS::NoValue`.
    fn resolve(&self, value: &Value) -> Option<Value> {
        match value {
            Value::Array(items) => Some(items.iter().filter_map(|item| self.resolve(item)).collect()),
            Value::Object(map) if map.len() == 1 => {
                let (function, argument) = map.iter().next().unwrap();
                match function.as_str() {
                    "Ref" => self.reference(argument.as_str().unwrap()),
                    "Fn::GetAtt" => Some(json!(attribute(argument))),
                    "Fn::Sub" => Some(json!(self.substitute(argument))),
                    "Fn::Join" => Some(json!(self.items(&argument[1]).join(argument[0].as_str().unwrap()))),
                    "Fn::Split" => {
                        let text = self.text(&argument[1]);
                        Some(json!(text.split(argument[0].as_str().unwrap()).collect::<Vec<_>>()))
                    }
                    "Fn::Select" => {
                        let index = usize::try_from(argument[0].as_u64().unwrap()).unwrap();
                        Some(json!(self.items(&argument[1])[index]))
                    }
                    "Fn::If" => {
                        let holds = self.holds(argument[0].as_str().unwrap());
                        self.resolve(&argument[if holds { 1 } else { 2 }])
                    }
                    function if function.starts_with("Fn::") => panic!("{function} is not known here"),
                    _ => Some(self.object(map)),
                }
            }
            Value::Object(map) => Some(self.object(map)),
            plain => Some(plain.clone()),
        }
    }

    fn object(&self, map: &Map<String, Value>) -> Value {
        map.iter().filter_map(|(name, value)| Some((name.clone(), self.resolve(value)?))).collect::<Map<_, _>>().into()
    }

    fn reference(&self, name: &str) -> Option<Value> {
        match name {
            "AWS::NoValue" => None,
            "AWS::AccountId" => Some(json!(ACCOUNT)),
            "AWS::Region" => Some(json!("eu-central-1")),
            "AWS::Partition" => Some(json!("aws")),
            name => Some(self.parameters.get(name).cloned().unwrap_or_else(|| json!(format!("arn:here:{name}")))),
        }
    }

    /// A text, or a text and what some of its variables stand for.
    fn substitute(&self, argument: &Value) -> String {
        let text = if argument.is_array() { &argument[0] } else { argument };
        let mut parts = text.as_str().unwrap().split("${");
        let mut done = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let (name, rest) = part.split_once('}').expect("a variable of Sub is closed");
            let own = argument.get(1).and_then(|variables| variables.get(name));
            match name.split_once('.') {
                _ if own.is_some() => done.push_str(&self.text(own.unwrap())),
                Some((resource, attribute_)) => done.push_str(&attribute(&json!([resource, attribute_]))),
                None => done.push_str(self.reference(name).unwrap().as_str().unwrap()),
            }
            done.push_str(rest);
        }
        done
    }

    fn holds(&self, condition: &str) -> bool {
        self.decide(&self.template["Conditions"][condition])
    }

    fn decide(&self, condition: &Value) -> bool {
        let (function, argument) = condition.as_object().and_then(|map| map.iter().next()).expect("a condition");
        let all = || argument.as_array().unwrap().iter();
        match function.as_str() {
            "Condition" => self.holds(argument.as_str().unwrap()),
            "Fn::Not" => !self.decide(&argument[0]),
            "Fn::And" => all().all(|part| self.decide(part)),
            "Fn::Or" => all().any(|part| self.decide(part)),
            "Fn::Equals" => self.text(&argument[0]) == self.text(&argument[1]),
            other => panic!("{other} is not known here"),
        }
    }

    /// One side of an equation.
    fn text(&self, value: &Value) -> String {
        match self.resolve(value).unwrap() {
            Value::String(text) => text,
            other => other.to_string(),
        }
    }

    /// The texts of a list.
    fn items(&self, list: &Value) -> Vec<String> {
        let items = self.resolve(list).unwrap();
        items.as_array().unwrap().iter().map(|item| item.as_str().unwrap().to_owned()).collect()
    }
}

/// `X.Arn`, a secret's `X.Id` and what X is referred to by are one and the same here.
fn attribute(argument: &Value) -> String {
    let path: Vec<&str> = match argument {
        Value::String(path) => path.split('.').collect(),
        path => path.as_array().unwrap().iter().flat_map(|part| part.as_str().unwrap().split('.')).collect(),
    };
    format!("arn:here:{}", path.into_iter().filter(|part| !["Arn", "Id"].contains(part)).collect::<Vec<_>>().join("."))
}

/// One or several, as IAM has it; nothing is none.
pub(crate) fn list(value: &Value) -> Vec<Value> {
    match value {
        Value::Null => Vec::new(),
        Value::Array(items) => items.clone(),
        one => vec![one.clone()],
    }
}

/// YAML with CloudFormation's tags as JSON, by SAM's own reader.
fn parse(path: &str) -> Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(path);
    let script = "import json, sys; from samtranslator.yaml_helper import yaml_parse; json.dump(yaml_parse(open(sys.argv[1])), sys.stdout)";
    let output = Command::new("python3").args(["-c", script]).arg(&file).output().expect("python3 runs");
    assert!(
        output.status.success(),
        "{path} cannot be read; SAM's Python stands on the PATH in `tests/run`: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}
