//! Checks of `[[webhook]]`.

use std::path::Path;

use url::{Host, Url};

use super::camera::Keys;
use super::section::{Findings, Raw, Section};
use super::tidy;
use crate::limits;
use crate::outward::WebhookConfig;
use crate::secret::Secret;

/// Longest name; the journal's cursor of it has a bound.
const NAME_CHARS_MAX: usize = 20;

/// Checks all webhooks against each other.
pub(super) fn webhooks(
    sections: Vec<Section>,
    base: &Path,
    keys: &mut Keys<'_>,
    out: &mut Findings,
) -> Vec<WebhookConfig> {
    let mut checked: Vec<WebhookConfig> = Vec::new();
    if let Some(beyond) = sections.get(limits::WEBHOOKS_MAX) {
        let problem = format!("is one of more than {} webhooks", limits::WEBHOOKS_MAX);
        out.refuse(&beyond.spot, "webhook", "", problem, "remove some");
        return checked;
    }
    for section in sections {
        checked.extend(webhook(section, &checked, base, keys, out));
    }
    checked
}

fn webhook(
    mut section: Section,
    before: &[WebhookConfig],
    base: &Path,
    keys: &mut Keys<'_>,
    out: &mut Findings,
) -> Option<WebhookConfig> {
    let refusals = out.0.refusals.len();
    let remedy = "write 1 to 20 of a-z, 0-9 and -";
    let name = section.need_text(out, "name", remedy);
    if let Some(text) = &name {
        let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if text.value.is_empty() || text.value.len() > NAME_CHARS_MAX || !text.value.chars().all(good) {
            section.refuse(out, "name", text, "is no name of a webhook", remedy);
        } else if before.iter().any(|one| one.name == text.value) {
            section.refuse(out, "name", text, "is the name of another webhook", "give each one of its own");
        }
    }
    let url = url(&mut section, out);
    let secret = secret(&mut section, keys, out);
    let kinds = kinds(&mut section, out);
    let ca = section.text(out, "ca").map(|text| (tidy(&base.join(&text.value)), text));
    if let Some((path, text)) = &ca
        && let Err(problem) = super::read_bytes(path, limits::ARCHIVE_CA_BYTES_MAX)
    {
        section.refuse(out, "ca", text, problem, "name a readable file of PEM certificates");
    }
    section.finish(out);
    if out.0.refusals.len() > refusals {
        return None;
    }
    Some(WebhookConfig { name: name?.value, url: url?, secret: secret?, kinds, ca: ca.map(|(path, _)| path) })
}

fn url(section: &mut Section, out: &mut Findings) -> Option<Url> {
    let remedy = "write the receiver's address: https://HOST/PATH";
    let text = section.need_text(out, "url", remedy)?;
    let Some(url) = Url::parse(&text.value).ok().filter(|url| url.host().is_some()) else {
        section.refuse(out, "url", &text, "is no address", remedy);
        return None;
    };
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
        let remedy = "leave user, password and query out: the signature says who sends";
        out.refuse(&text.spot, section.dotted("url"), "***", "holds more than an address", remedy);
        return None;
    }
    let here = match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    match url.scheme() {
        "https" => Some(url),
        "http" if here => Some(url),
        "http" => {
            let remedy = "use https://; plain HTTP goes to this machine alone";
            section.refuse(out, "url", &text, "would send events in plain HTTP", remedy);
            None
        }
        _ => {
            section.refuse(out, "url", &text, "is neither https nor http", remedy);
            None
        }
    }
}

/// A secret that stands as a reference, long enough not to be guessed.
fn secret(section: &mut Section, keys: &mut Keys<'_>, out: &mut Findings) -> Option<Secret> {
    let remedy = "write env:NAME, file:PATH, or the enc: line that `fengsui secret seal` prints";
    let Some(cell) = section.take("secret") else {
        section.missing(out, "secret", remedy);
        return None;
    };
    let Raw::Text(reference) = cell.raw else {
        out.refuse(&cell.spot, section.dotted("secret"), "***", "is no text", remedy);
        return None;
    };
    let (least, most) = limits::WEBHOOK_SECRET_BYTES;
    match keys.open(&reference, None) {
        Ok(secret) if (least..=most).contains(&secret.expose().len()) => Some(secret),
        Ok(_) => {
            let problem = format!("stands for a secret that has not {least} to {most} bytes");
            let remedy = "make one at random, for example with `openssl rand -hex 32`";
            out.refuse(&cell.spot, section.dotted("secret"), "***", problem, remedy);
            None
        }
        Err((problem, remedy)) => {
            out.refuse(&cell.spot, section.dotted("secret"), "***", problem, remedy);
            None
        }
    }
}

fn kinds(section: &mut Section, out: &mut Findings) -> Vec<String> {
    let listed = section.texts(out, "kinds");
    let remedy = "write alarm, incident, unit, plan, rule or shift, alone or with an act: alarm.raise";
    if let Some(beyond) = listed.get(limits::WEBHOOK_KINDS_MAX) {
        section.refuse(out, "kinds", beyond, "is one too many", "name whole kinds instead of single acts");
    }
    for text in &listed {
        let bare = text.value.strip_prefix("fengsui.").unwrap_or(&text.value);
        let (kind, act) = bare.split_once('.').unwrap_or((bare, "x"));
        let known = ["alarm", "incident", "unit", "plan", "rule", "shift"].contains(&kind);
        if !known || act.is_empty() || !act.chars().all(|c| c.is_ascii_lowercase() || c == '_') {
            section.refuse(out, "kinds", text, "is no type of event", remedy);
        }
    }
    listed.into_iter().map(|text| text.value).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use std::collections::BTreeMap;

    use crate::Config;
    use crate::outward::WebhookConfig;

    const GOOD: &str = include_str!("good.toml");

    fn config(webhook: &str) -> Result<Vec<WebhookConfig>, String> {
        let env = BTreeMap::from([
            ("HOOK".to_owned(), "0123456789abcdef-hush".to_owned()),
            ("SHORT".to_owned(), "short".to_owned()),
            ("CAMERA".to_owned(), "p4ss".to_owned()),
        ]);
        let text = format!("{GOOD}\n[[webhook]]\n{webhook}\n");
        Config::parse(&text, std::path::Path::new("/srv/fengsui.toml"), &env)
            .map(|(config, _)| config.webhooks)
            .map_err(|refusals| refusals.to_string())
    }

    #[test]
    fn a_webhook_is_read_and_hides_its_secret() {
        let text = "name = \"desk-1\"\nurl = \"https://oa.example.cn/hooks\"\nsecret = \"env:HOOK\"\nkinds = [\"alarm\", \"incident.open\"]";
        let hooks = config(text).unwrap();
        assert_eq!((hooks[0].name.as_str(), hooks[0].cursor().as_str()), ("desk-1", "webhook_desk_1"));
        assert_eq!(hooks[0].kinds, ["alarm", "incident.open"]);
        assert!(!format!("{hooks:?}").contains("hush"));
    }

    #[test]
    fn every_fault_of_a_webhook_is_refused_with_its_remedy() {
        let with = |name: &str, url: &str, rest: &str| format!("name = \"{name}\"\nurl = \"{url}\"\n{rest}");
        let secret = "secret = \"env:HOOK\"";
        for (text, problem, remedy) in [
            (with("Desk", "https://h/x", secret), "is no name of a webhook", "1 to 20"),
            (with(&"x".repeat(21), "https://h/x", secret), "is no name of a webhook", "1 to 20"),
            (with("a", "http://10.0.0.1/x", secret), "in plain HTTP", "https://"),
            (with("a", "https://u:p@h/x", secret), "more than an address", "signature"),
            (with("a", "https://h/x?token=1", secret), "more than an address", "signature"),
            (with("a", "ftp://h/x", secret), "is neither https nor http", "https://"),
            (with("a", "https://h/x", ""), "is missing", "env:NAME"),
            (with("a", "https://h/x", "secret = \"env:SHORT\""), "has not 16 to 256 bytes", "openssl"),
            (with("a", "https://h/x", "secret = \"0123456789abcdef\""), "in plain text", "env:NAME"),
            (
                with("a", "https://h/x", &format!("{secret}\nkinds = [\"alarms\"]")),
                "no type of event",
                "alarm.raise",
            ),
            (with("a", "https://h/x", &format!("{secret}\nca = \"none.pem\"")), "cannot be read", "PEM"),
            (
                with(
                    "a",
                    "https://h/x",
                    &format!("{secret}\n[[webhook]]\n{}", with("a", "https://h/y", secret)),
                ),
                "is the name of another webhook",
                "of its own",
            ),
        ] {
            let said = config(&text).unwrap_err();
            assert!(said.contains(problem) && said.contains(remedy), "{text}\n{said}");
            assert!(!said.contains("0123456789abcdef"), "{said}");
        }
        let here = with("a", "http://127.0.0.1:9000/x", secret);
        assert_eq!(config(&here).unwrap().len(), 1);
    }
}
