//! Which form of discovery an `Accept` header asks for.

/// A form of the discovery of all groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// `APIGroupList`: names of groups alone.
    Plain,
    /// `APIGroupDiscoveryList` v2: groups with all their resources.
    V2,
    /// The same, v2beta1.
    V2Beta1,
}

impl Form {
    /// The aggregated forms.
    pub const AGGREGATED: [Self; 2] = [Self::V2, Self::V2Beta1];

    /// The content type, which clients compare.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Plain => "application/json",
            Self::V2 => "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
            Self::V2Beta1 => "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList",
        }
    }

    /// The version of the aggregated form's own API.
    pub fn api_version(self) -> &'static str {
        match self {
            Self::Plain => "v1",
            Self::V2 => "apidiscovery.k8s.io/v2",
            Self::V2Beta1 => "apidiscovery.k8s.io/v2beta1",
        }
    }
}

/// Chooses the first form that the header lists and that is served.
///
/// `None` only if the header asks for nothing but aggregated forms that are not served: a plain list would look like an
/// aggregated one without resources. Whoever asks for something else, protobuf alone for example, gets plain JSON: every
/// Kubernetes client reads it.
pub fn negotiate(accept: Option<&str>) -> Option<Form> {
    let mut ranges: Vec<Range<'_>> = accept.unwrap_or("*/*").split(',').filter_map(Range::parse).collect();
    ranges.sort_by(|a, b| b.quality.total_cmp(&a.quality));
    let chosen = ranges.iter().find_map(Range::form);
    let asks_for_aggregated_alone = !ranges.is_empty() && ranges.iter().all(|range| range.kind.is_some());
    chosen.or((!asks_for_aggregated_alone).then_some(Form::Plain))
}

/// One media range of a header.
#[derive(Debug, Default)]
struct Range<'a> {
    media_type: &'a str,
    kind: Option<&'a str>,
    group: Option<&'a str>,
    version: Option<&'a str>,
    quality: f64,
}

impl<'a> Range<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let media_type = parts.next().filter(|media_type| media_type.contains('/'))?;
        let mut range = Self {
            media_type,
            quality: 1.0,
            ..Self::default()
        };
        for (key, value) in parts.filter_map(|part| part.split_once('=')) {
            let value = value.trim().trim_matches('"');
            match key.trim() {
                "as" => range.kind = Some(value),
                "g" => range.group = Some(value),
                "v" => range.version = Some(value),
                "q" => range.quality = value.parse().unwrap_or(1.0),
                _ => {}
            }
        }
        (range.quality > 0.0).then_some(range)
    }

    fn form(&self) -> Option<Form> {
        if !matches!(self.media_type, "application/json" | "application/*" | "*/*") {
            return None;
        }
        match (self.kind, self.group, self.version) {
            (None, _, _) => Some(Form::Plain),
            (Some("APIGroupDiscoveryList"), Some("apidiscovery.k8s.io"), Some("v2")) => Some(Form::V2),
            (Some("APIGroupDiscoveryList"), Some("apidiscovery.k8s.io"), Some("v2beta1")) => Some(Form::V2Beta1),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V2: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    const V2BETA1: &str = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";
    const UNKNOWN: &str = "application/json;g=apidiscovery.k8s.io;v=v3;as=APIGroupDiscoveryList";
    const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

    #[test]
    fn the_first_served_form_wins() {
        for (accept, form) in [
            (format!("{V2},{V2BETA1}"), Form::V2),
            (format!("{V2BETA1}, {V2}"), Form::V2Beta1),
            (format!("{UNKNOWN},{V2BETA1},application/json"), Form::V2Beta1),
            (format!("{V2};q=0.5,{V2BETA1};q=0.9"), Form::V2Beta1),
            (format!("{V2};q=0,application/json"), Form::Plain),
            (
                "application/json; as=\"APIGroupDiscoveryList\" ; v=v2 ; g=apidiscovery.k8s.io ; profile=nopeer".into(),
                Form::V2,
            ),
            (format!("{PROTOBUF}, */*"), Form::Plain),
            (
                format!("{PROTOBUF};g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,{V2}"),
                Form::V2,
            ),
            ("application/json".into(), Form::Plain),
        ] {
            assert_eq!(negotiate(Some(&accept)), Some(form), "{accept}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_header_panics_and_without_an_aggregated_form_the_answer_is_plain(accept in "[a-z/*;,=q0-9. \"]{0,40}") {
            proptest::prop_assert_eq!(negotiate(Some(&accept)), Some(Form::Plain));
        }
    }

    #[test]
    fn plain_json_is_the_answer_to_everything_but_unserved_aggregated_forms() {
        for accept in [
            None,
            Some(""),
            Some("text/html"),
            Some(PROTOBUF),
            Some("nonsense"),
            Some(";;,,="),
        ] {
            assert_eq!(negotiate(accept), Some(Form::Plain), "{accept:?}");
        }
        assert_eq!(negotiate(Some(UNKNOWN)), None);
    }
}
