//! Certificates for nodes that speak TLS, and what each kind of node is told of them.

use std::fs;

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair,
    KeyUsagePurpose,
};
use tempfile::TempDir;

/// An authority, and a folder with the certificates that it has signed: `HOST.crt`, `HOST.key` and `HOST.ca`.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

impl Authority {
    /// A new one, with a certificate for the host of each of these nodes.
    pub fn new(nodes: &[&str]) -> Result<Self> {
        let mut params = CertificateParams::new(Vec::<String>::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        // A certificate whose issuer has its own name would be taken for one that signed itself.
        params.distinguished_name = name("cluster");
        let authority = Self {
            issuer: CertifiedIssuer::self_signed(params, KeyPair::generate()?)?,
            folder: tempfile::tempdir()?,
        };
        nodes.iter().try_for_each(|node| authority.sign(node))?;
        Ok(authority)
    }

    /// Gives the host of a node a new key and a new certificate.
    pub fn sign(&self, node: &str) -> Result<()> {
        self.sign_for(node, &[host(node)])
    }

    /// The same for several hosts at once, as nodes have it that share a mounted Secret.
    pub fn sign_for(&self, node: &str, hosts: &[&str]) -> Result<()> {
        let key = KeyPair::generate()?;
        let hosts: Vec<String> = hosts.iter().map(|&host| host.to_owned()).collect();
        let mut params = CertificateParams::new(hosts)?;
        params.distinguished_name = name(host(node));
        let certificate = params.signed_by(&key, &self.issuer)?;
        let write = |what, text: String| {
            let path = self.file(node, what);
            fs::write(&path, text).with_context(|| format!("{path} cannot be written"))
        };
        write("crt", certificate.pem())?;
        write("key", key.serialize_pem())?;
        write("ca", self.issuer.pem())
    }

    /// The path of the file `crt`, `key` or `ca` of a node's host.
    pub fn file(&self, node: &str, what: &str) -> String {
        let path = self.folder.path().join(format!("{}.{what}", host(node)));
        path.display().to_string()
    }

    /// The flags of `enmesh run`.
    pub fn flags(&self, node: &str) -> Vec<String> {
        [("cert", "crt"), ("key", "key"), ("ca", "ca")]
            .iter()
            .flat_map(|(flag, what)| [format!("--tls-{flag}-file"), self.file(node, what)])
            .collect()
    }

    /// Writes an `ssl_dist_optfile` for a BEAM and gives its path: with both sides verified, these versions (`'tlsv1.3'`), and
    /// further options of either side, each with a comma in front.
    pub fn options(
        &self,
        node: &str,
        versions: &str,
        server: &str,
        client: &str,
    ) -> Result<String> {
        let (certificate, authority) = (self.shown(node), self.file(node, "ca"));
        let side = |further: &str| {
            format!(
                "{{cacertfile,\"{authority}\"}},{{verify,verify_peer}}{further},{{versions,[{versions}]}}"
            )
        };
        let text = format!(
            "[{{server,[{}]}},\n {{client,[{}]}}].\n",
            side(&format!(
                "{certificate},{{fail_if_no_peer_cert,true}}{server}"
            )),
            side(client),
        );
        let path = self.folder.path().join("dist.conf");
        fs::write(&path, text)?;
        Ok(path.display().to_string())
    }

    /// The options by which a BEAM shows its certificate, as a client too.
    pub fn shown(&self, node: &str) -> String {
        let (certificate, key) = (self.file(node, "crt"), self.file(node, "key"));
        format!(",{{certfile,\"{certificate}\"}},{{keyfile,\"{key}\"}}")
    }
}

fn name(text: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, text);
    name
}

/// What follows the `@` of a node's name.
fn host(node: &str) -> &str {
    node.rsplit_once('@').map_or(node, |(_, host)| host)
}
