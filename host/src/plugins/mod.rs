//! stub until the branch is merged
use sitesync_provider::abi::client::Module;
#[derive(Debug)]
pub struct Plugins {
    all: std::collections::HashMap<String, Provider>,
}
#[derive(Debug)]
pub struct Provider {
    pub module: Module,
    pub description: sitesync_provider::Description,
}
#[derive(Debug)]
pub struct Refusal {
    pub reason: String,
    pub remedy: String,
}
impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.reason)
    }
}
impl Plugins {
    pub fn get(&self, name: &str) -> Result<&Provider, Refusal> {
        self.all.get(name).ok_or(Refusal { reason: "none".into(), remedy: String::new() })
    }
}
