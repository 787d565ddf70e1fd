//! Files and variables that exist only here.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use tollgate::config::Surroundings;

/// The folder of the pretended configuration file.
pub const FOLDER: &str = "/etc/tollgate";

pub struct Fake {
    files: BTreeMap<PathBuf, Vec<u8>>,
}

impl Fake {
    pub fn new() -> Self {
        let key = rcgen::KeyPair::generate().expect("a key can be made");
        let certificate = rcgen::CertificateParams::new(["gateway.example".to_owned()])
            .and_then(|params| params.self_signed(&key))
            .expect("a certificate can be made");
        let files = [
            ("chain.pem", certificate.pem()),
            ("key.pem", key.serialize_pem()),
            ("garbled.pem", "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n".into()),
            ("text.pem", "not PEM at all\n".into()),
            (
                "good.jwks",
                r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#.into(),
            ),
            ("empty.jwks", r#"{"keys":[]}"#.into()),
            ("secret.txt", "from-a-file\r\n".into()),
            ("empty.txt", "\n".into()),
            ("page.html", "<p>{{ title }}\n{{ reference }}{% for link in links %}{{ link.url }}{% endfor %}".into()),
            ("flawed.html", "<p>{{ title }}\n<a href=\"{{ url }}\">".into()),
            ("mute.html", "<p>{{ title }}".into()),
        ];
        Self {
            files: files
                .into_iter()
                .map(|(name, content)| (Path::new(FOLDER).join(name), content.into_bytes()))
                .collect(),
        }
    }
}

impl Surroundings for Fake {
    fn folder(&self) -> &Path {
        Path::new(FOLDER)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.files.get(path).cloned().ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no such file"))
    }

    fn variable(&self, name: &str) -> Option<String> {
        match name {
            "SECRET" => Some("from-the-environment".into()),
            "SESSION_KEY" => Some("0123456789abcdef0123456789abcdef".into()),
            "SESSION_KEY_BEFORE" => Some("fedcba9876543210fedcba9876543210".into()),
            "EMPTY" => Some(String::new()),
            _ => None,
        }
    }
}
