//! Names by a pattern: what the key `name_template` may say.

use std::fmt;
use std::str::FromStr;

#[cfg(feature = "kubernetes")]
use enmesh_identity::{MAX_NAME_CHARS, NameForm};

/// The longest template, in bytes.
const MAX_TEMPLATE_BYTES: usize = 1024;

/// The most parts that a template may have; a part is a text or a field.
const MAX_PARTS: usize = 64;

/// What a template may hold.
pub(super) const TEMPLATE_ALLOWED: &str = "text with {basename}, {ip}, {dashed_ip}, {pod}, {namespace}, {hostname}, {subdomain}, \
     {service}, {domain}, {container}, {port}, {port_name}, {port:NAME}, {label:KEY} and \
     {annotation:KEY} in it, as in {label:app}@{ip}; an @ must stand in it once, unless an \
     annotation brings it";

/// A pattern for node names, such as `{label:app}@{ip}`.
///
/// ```
/// use enmesh_discovery::NameTemplate;
///
/// let template: NameTemplate = "{label:app}@{ip}".parse()?;
/// assert_eq!(template.to_string(), "{label:app}@{ip}");
/// assert!("{label:app}".parse::<NameTemplate>().is_err());
/// # Ok::<(), enmesh_discovery::NameTemplateError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameTemplate {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Field(TemplateField),
}

/// What of a pod may stand in a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TemplateField {
    Basename,
    Ip,
    DashedIp,
    Pod,
    Namespace,
    Hostname,
    Subdomain,
    Service,
    Domain,
    Container,
    Port,
    PortName,
    PortNamed(String),
    Label(String),
    Annotation(String),
}

/// Why a text is no template for names.
///
/// ```
/// use enmesh_discovery::{NameTemplate, NameTemplateError};
///
/// let error = "{app}@{ip}".parse::<NameTemplate>().unwrap_err();
/// assert_eq!(error, NameTemplateError::UnknownField { field: "app".to_owned() });
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameTemplateError {
    /// It is longer than any sensible template.
    #[error("a template has at most {MAX_TEMPLATE_BYTES} bytes and {MAX_PARTS} fields and texts")]
    TooLong,
    /// A brace opens and does not close, or closes and did not open.
    #[error("the braces of a template are not balanced")]
    Braces,
    /// There is no such field.
    #[error("a template has no field {{{field}}}")]
    UnknownField {
        /// What stands between the braces.
        field: String,
    },
    /// The text has no `@`, and no annotation that could bring it, or it has more than one.
    #[error("a template has exactly one @")]
    NotOneAt,
    /// A space, or a character that no node name has.
    #[error("a template has printable latin1 characters only")]
    BadCharacter,
}

impl NameTemplate {
    /// Whether the template asks for what only pods tell: labels, annotations, containers.
    pub(super) fn needs_pods(&self) -> bool {
        self.fields().any(|field| {
            use TemplateField::{Annotation, Container, Label, Subdomain};
            matches!(field, Label(_) | Annotation(_) | Container | Subdomain)
        })
    }

    fn fields(&self) -> impl Iterator<Item = &TemplateField> {
        self.parts.iter().filter_map(|part| match part {
            Part::Text(_) => None,
            Part::Field(field) => Some(field),
        })
    }
}

#[cfg(feature = "kubernetes")]
impl NameTemplate {
    /// The name that comes of it where `value` knows every field; `None` where it does not know
    /// one, or where the name would be too long for a node.
    pub(super) fn expand(
        &self,
        mut value: impl FnMut(&TemplateField) -> Option<String>,
    ) -> Result<String, Unfilled<'_>> {
        let mut name = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => name.push_str(text),
                Part::Field(field) => {
                    name.push_str(&value(field).ok_or(Unfilled::Missing(field))?);
                }
            }
            // Latin1 has at most two bytes for each character.
            if name.len() > 2 * MAX_NAME_CHARS {
                return Err(Unfilled::TooLong);
            }
        }
        Ok(name)
    }

    /// Whether the template asks for the cluster's domain.
    pub(super) fn needs_domain(&self) -> bool {
        self.fields().any(|field| *field == TemplateField::Domain)
    }

    /// Whether a node is made of each container.
    pub(super) fn has_container(&self) -> bool {
        self.fields()
            .any(|field| *field == TemplateField::Container)
    }

    /// Whether the names are long or short, where that is sure before any pod is seen.
    pub(super) fn form(&self) -> Option<NameForm> {
        let mut host = false;
        let mut form = None;
        for part in &self.parts {
            match part {
                Part::Text(text) => {
                    let rest = match text.split_once('@') {
                        Some((_, rest)) => {
                            (host, form) = (true, Some(NameForm::Short));
                            rest
                        }
                        None if host => text,
                        None => "",
                    };
                    if rest.contains('.') {
                        return Some(NameForm::Long);
                    }
                }
                Part::Field(TemplateField::Ip | TemplateField::Domain) if host => {
                    return Some(NameForm::Long);
                }
                Part::Field(TemplateField::Label(_) | TemplateField::Annotation(_)) if host => {
                    form = None;
                }
                Part::Field(_) => {}
            }
        }
        form
    }
}

/// Why a pod makes no name.
#[cfg(feature = "kubernetes")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unfilled<'t> {
    /// It does not have this.
    Missing(&'t TemplateField),
    /// The name is longer than that of any node.
    TooLong,
}

#[cfg(feature = "kubernetes")]
impl fmt::Display for Unfilled<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(field) => write!(f, "it has no {{{field}}}"),
            Self::TooLong => f.write_str("the name is too long"),
        }
    }
}

impl FromStr for NameTemplate {
    type Err = NameTemplateError;

    fn from_str(text: &str) -> Result<Self, NameTemplateError> {
        if text.len() > MAX_TEMPLATE_BYTES {
            return Err(NameTemplateError::TooLong);
        }
        let printable = |c: char| matches!(c, '!'..='~' | '\u{a1}'..='\u{ff}');
        if !text.chars().all(printable) {
            return Err(NameTemplateError::BadCharacter);
        }
        let mut parts = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let (literal, after) = rest.split_at(rest.find(['{', '}']).unwrap_or(rest.len()));
            if !literal.is_empty() {
                parts.push(Part::Text(literal.to_owned()));
            }
            rest = after;
            if rest.is_empty() {
                break;
            }
            let inside = rest.strip_prefix('{').ok_or(NameTemplateError::Braces)?;
            let (field, after) = inside.split_once('}').ok_or(NameTemplateError::Braces)?;
            parts.push(Part::Field(field.parse()?));
            rest = after;
        }
        if parts.len() > MAX_PARTS {
            return Err(NameTemplateError::TooLong);
        }
        let template = Self { parts };
        let ats = template.parts.iter().map(|part| match part {
            Part::Text(text) => text.matches('@').count(),
            Part::Field(_) => 0,
        });
        let annotation = |field: &TemplateField| matches!(field, TemplateField::Annotation(_));
        match ats.sum::<usize>() {
            1 => Ok(template),
            0 if template.fields().any(annotation) => Ok(template),
            _ => Err(NameTemplateError::NotOneAt),
        }
    }
}

impl FromStr for TemplateField {
    type Err = NameTemplateError;

    fn from_str(text: &str) -> Result<Self, NameTemplateError> {
        let unknown = || NameTemplateError::UnknownField {
            field: text.to_owned(),
        };
        if text.contains('{') {
            return Err(NameTemplateError::Braces);
        }
        if let Some((kind, key)) = text.split_once(':') {
            let key = match key {
                "" => return Err(unknown()),
                key => key.to_owned(),
            };
            return match kind {
                "label" => Ok(Self::Label(key)),
                "annotation" => Ok(Self::Annotation(key)),
                "port" => Ok(Self::PortNamed(key)),
                _ => Err(unknown()),
            };
        }
        let found = Self::PLAIN.iter().find(|(_, name)| *name == text);
        found.map(|(field, _)| field.clone()).ok_or_else(unknown)
    }
}

impl TemplateField {
    const PLAIN: [(Self, &'static str); 12] = [
        (Self::Basename, "basename"),
        (Self::Ip, "ip"),
        (Self::DashedIp, "dashed_ip"),
        (Self::Pod, "pod"),
        (Self::Namespace, "namespace"),
        (Self::Hostname, "hostname"),
        (Self::Subdomain, "subdomain"),
        (Self::Service, "service"),
        (Self::Domain, "domain"),
        (Self::Container, "container"),
        (Self::Port, "port"),
        (Self::PortName, "port_name"),
    ];
}

impl fmt::Display for TemplateField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PortNamed(name) => write!(f, "port:{name}"),
            Self::Label(key) => write!(f, "label:{key}"),
            Self::Annotation(key) => write!(f, "annotation:{key}"),
            plain => {
                let found = Self::PLAIN.iter().find(|(field, _)| field == plain);
                f.write_str(found.map_or("", |(_, name)| name))
            }
        }
    }
}

impl fmt::Display for NameTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.parts {
            match part {
                Part::Text(text) => f.write_str(text)?,
                Part::Field(field) => write!(f, "{{{field}}}")?,
            }
        }
        Ok(())
    }
}

#[cfg(all(test, feature = "kubernetes"))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<NameTemplate, NameTemplateError> {
        text.parse()
    }

    #[test]
    fn fields_take_the_place_of_their_names() {
        let template = parse("{label:app}-{port:dist}@{ip}").unwrap();
        let name = template.expand(|field| {
            Some(match field {
                TemplateField::Label(key) if key == "app" => "api".to_owned(),
                TemplateField::PortNamed(name) if name == "dist" => "9100".to_owned(),
                TemplateField::Ip => "10.0.0.1".to_owned(),
                _ => return None,
            })
        });
        assert_eq!(name, Ok("api-9100@10.0.0.1".to_owned()));
    }

    #[test]
    fn what_a_pod_does_not_have_is_said() {
        let template = parse("{label:app}@{ip}").unwrap();
        let error = template.expand(|_| None).unwrap_err();
        assert_eq!(error.to_string(), "it has no {label:app}");
        let long = |_: &TemplateField| Some("a".repeat(600));
        assert_eq!(template.expand(long), Err(Unfilled::TooLong));
    }

    #[test]
    fn what_is_no_template_is_refused() {
        let unknown = |field: &str| NameTemplateError::UnknownField {
            field: field.to_owned(),
        };
        for (text, error) in [
            ("{ip}", NameTemplateError::NotOneAt),
            ("", NameTemplateError::NotOneAt),
            ("a@b@{ip}", NameTemplateError::NotOneAt),
            ("{ip@{ip}", NameTemplateError::Braces),
            ("ip}@{ip}", NameTemplateError::Braces),
            ("a@{ip", NameTemplateError::Braces),
            ("a@{node}", unknown("node")),
            ("a@{label:}", unknown("label:")),
            ("a@{secret:x}", unknown("secret:x")),
            ("a b@{ip}", NameTemplateError::BadCharacter),
            ("{}@{ip}", unknown("")),
        ] {
            assert_eq!(parse(text), Err(error), "{text}");
        }
        assert_eq!(parse(&"a".repeat(1025)), Err(NameTemplateError::TooLong));
        let many = format!("a@{}", "{ip}".repeat(100));
        assert_eq!(parse(&many), Err(NameTemplateError::TooLong));
    }

    #[test]
    fn an_annotation_may_be_a_whole_name() {
        assert!(parse("{annotation:example.org/node-name}").is_ok());
    }

    #[test]
    fn the_form_is_told_where_it_is_sure() {
        for (text, form) in [
            ("a@{ip}", Some(NameForm::Long)),
            ("a@{pod}", Some(NameForm::Short)),
            ("{ip}@{pod}", Some(NameForm::Short)),
            ("a.b@{pod}", Some(NameForm::Short)),
            (
                "a@{pod}.{service}.{namespace}.svc.{domain}",
                Some(NameForm::Long),
            ),
            ("a@{label:host}", None),
            ("a@{label:host}.example", Some(NameForm::Long)),
            ("{annotation:name}", None),
        ] {
            assert_eq!(parse(text).unwrap().form(), form, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_template_or_an_error(text in ".{0,60}") {
            if let Ok(template) = parse(&text) {
                prop_assert_eq!(template.to_string(), text);
            }
        }

        #[test]
        fn near_templates_are_read_back(
            parts in proptest::collection::vec(
                prop_oneof![
                    "[a-z@.{}:]{0,3}",
                    Just("{ip}".to_owned()),
                    Just("{label:app}".to_owned()),
                    Just("{port_name}".to_owned()),
                ],
                0..8,
            ),
            value in ".{0,400}",
        ) {
            let text = parts.concat();
            if let Ok(template) = parse(&text) {
                prop_assert_eq!(template.to_string(), text);
                if let Ok(name) = template.expand(|_| Some(value.clone())) {
                    prop_assert!(name.len() <= 2 * MAX_NAME_CHARS);
                }
            }
        }
    }
}
