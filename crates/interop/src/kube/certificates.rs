//! The cluster's own authority, and a certificate for everybody in it.

use std::fs;
use std::net::IpAddr;
use std::path::Path;

use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, SanType,
};

use super::settings::{API_SERVICE_ADDRESS, NODE_ADDRESS, NODE_NAME, kubeconfig};

/// User, group and file name of each client; what the API server's RBAC knows them by.
const CLIENTS: [(&str, &str, &str); 7] = [
    ("admin", "admin", "system:masters"),
    (
        "apiserver-kubelet-client",
        "apiserver-kubelet-client",
        "system:masters",
    ),
    ("controller-manager", "system:kube-controller-manager", ""),
    ("scheduler", "system:kube-scheduler", ""),
    ("proxy", "system:kube-proxy", ""),
    ("coredns", "coredns", "system:masters"),
    ("kubelet", "system:node:node1", "system:nodes"),
];
/// The names by which pods ask for the API server; libcluster uses the longest.
const API_NAMES: [&str; 5] = [
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
    "localhost",
];

/// Writes keys and certificates into `folder`, and a kubeconfig for each client that uses one.
pub(super) fn write_all(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    let mut params = CertificateParams::new(Vec::<String>::new())?;
    params
        .distinguished_name
        .push(DnType::CommonName, "enmesh test authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::DigitalSignature,
    ];
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    fs::write(folder.join("ca.crt"), authority.pem())?;

    let api_addresses = [NODE_ADDRESS, API_SERVICE_ADDRESS, "127.0.0.1"];
    issue(
        &authority,
        folder,
        "apiserver",
        ("kube-apiserver", ""),
        &API_NAMES,
        &api_addresses,
    )?;
    for (file, user, group) in CLIENTS {
        // The kubelet shows the same certificate as server; for the others the names are of no use and no harm.
        issue(
            &authority,
            folder,
            file,
            (user, group),
            &[NODE_NAME],
            &[NODE_ADDRESS],
        )?;
        let text = kubeconfig(folder, file).to_string();
        fs::write(folder.join(format!("{file}.kubeconfig")), text)?;
    }
    let tokens = KeyPair::generate()?;
    fs::write(folder.join("service-accounts.key"), tokens.serialize_pem())?;
    fs::write(folder.join("service-accounts.pub"), tokens.public_key_pem())?;
    Ok(())
}

fn issue(
    authority: &CertifiedIssuer<'_, KeyPair>,
    folder: &Path,
    file: &str,
    (user, group): (&str, &str),
    names: &[&str],
    addresses: &[&str],
) -> Result<()> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names)?;
    for address in addresses {
        params
            .subject_alt_names
            .push(SanType::IpAddress(address.parse::<IpAddr>()?));
    }
    params.distinguished_name.push(DnType::CommonName, user);
    if !group.is_empty() {
        params
            .distinguished_name
            .push(DnType::OrganizationName, group);
    }
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ClientAuth,
        ExtendedKeyUsagePurpose::ServerAuth,
    ];
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, authority)?;
    fs::write(folder.join(format!("{file}.crt")), certificate.pem())?;
    fs::write(folder.join(format!("{file}.key")), key.serialize_pem())?;
    Ok(())
}
