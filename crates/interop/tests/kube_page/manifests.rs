//! Every manifest that any page shows, as the API server judges it.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};
use enmesh_interop::Cluster;
use serde_json::{Value, json};

use crate::page::blocks;

/// The least that is to be found, so that a page that is read wrongly does not pass for one without manifests.
const LEAST: usize = 8;

/// Has the API server check each of them strictly, without making anything. What an excerpt leaves out is put around it.
pub(crate) fn all_are_valid(cluster: &Cluster) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let (mut count, mut wrong) = (0, Vec::new());
    for path in pages(&root)? {
        let page = fs::read_to_string(&path)?;
        for (word, text) in blocks(&page) {
            if word != "yaml" {
                continue;
            }
            for document in text.split("\n---\n") {
                count += 1;
                if let Err(error) = check(cluster, document) {
                    wrong.push(format!("{}:\n{document}{error:#}", path.display()));
                }
            }
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    ensure!(count >= LEAST, "only {count} manifests");
    Ok(())
}

fn check(cluster: &Cluster, document: &str) -> Result<()> {
    let object = serde_saphyr::from_str::<Value>(document)?;
    let version = object["apiVersion"].as_str().unwrap_or_default();
    if version.starts_with("kustomize.config.k8s.io/") {
        // It is for kustomize and not for the API; the tests of deploy/ apply it.
        return Ok(());
    }
    is_valid(cluster, completed(object)?)
}

/// README.md, the other pages beside it, those of `docs` and of `examples` and `deploy`.
fn pages(root: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root)? {
        found.push(entry?.path());
    }
    let mut open: Vec<PathBuf> = ["docs", "deploy", "examples"]
        .iter()
        .map(|name| root.join(name))
        .filter(|path| path.is_dir())
        .collect();
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                open.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    Ok(found)
}

/// The whole object that an excerpt is of: a container's fields, a pod's template or spec, or an object without its head.
fn completed(mut object: Value) -> Result<Value> {
    if object["apiVersion"].is_string() {
        return Ok(object);
    }
    let has = |key: &&str| !object[*key].is_null();
    let of_container = ["args", "command", "env", "lifecycle", "volumeMounts"];
    if of_container.iter().any(has) {
        object = json!({"spec": {"containers": [object]}});
    } else if has(&"containers") {
        object = json!({"spec": object});
    }
    let is_controller = object.pointer("/spec/template").is_some();
    if !is_controller {
        let pod = object.get("metadata").is_some() || object.pointer("/spec/containers").is_some();
        ensure!(pod, "it is an excerpt of nothing that is known");
        object = json!({"spec": {"template": object}});
    }
    object["apiVersion"] = json!("apps/v1");
    object["kind"] = json!("Deployment");
    object["metadata"]["name"] = json!("excerpt");
    let labels = json!({"excerpt": "yes"});
    object["spec"]["selector"] = json!({"matchLabels": labels});
    let template = &mut object["spec"]["template"];
    template["metadata"]["labels"]["excerpt"] = json!("yes");
    complete_pod(&mut template["spec"])?;
    Ok(object)
}

/// Gives containers a name and an image, and a volume to each mount that has none.
fn complete_pod(spec: &mut Value) -> Result<()> {
    if spec["containers"].is_null() {
        spec["containers"] = json!([{}]);
    }
    let mut mounted = Vec::new();
    let Some(containers) = spec["containers"].as_array_mut() else {
        bail!("containers are a list");
    };
    for container in containers {
        for (key, value) in [("name", "excerpt"), ("image", "excerpt")] {
            if container[key].is_null() {
                container[key] = json!(value);
            }
        }
        let mounts = container["volumeMounts"].as_array();
        mounted.extend(
            mounts
                .into_iter()
                .flatten()
                .map(|mount| mount["name"].clone()),
        );
    }
    let mut volumes = spec["volumes"].as_array().cloned().unwrap_or_default();
    mounted.retain(|name| !volumes.iter().any(|volume| volume["name"] == *name));
    volumes.extend(
        mounted
            .iter()
            .map(|name| json!({"name": name, "emptyDir": {}})),
    );
    spec["volumes"] = json!(volumes);
    Ok(())
}

fn is_valid(cluster: &Cluster, mut object: Value) -> Result<()> {
    // Its namespace may be one that the page makes only later.
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("namespace");
    }
    let mut file = tempfile::Builder::new().suffix(".json").tempfile()?;
    file.write_all(object.to_string().as_bytes())?;
    let path = file.path().display().to_string();
    let check = [
        "apply",
        "--dry-run=server",
        "--validate=strict",
        "-f",
        &path,
    ];
    cluster.kubectl(check).map(drop)
}
