//! What a test changes in the configuration of its nodes.

use std::path::PathBuf;

use toml::{Table, Value};

/// Changes to the configuration that [`Cluster`](crate::Cluster) writes for its nodes.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    values: Vec<(String, Value)>,
    pub(crate) data_root: Option<PathBuf>,
    pub(crate) is_single: bool,
}

impl Settings {
    /// No changes: three nodes.
    pub fn new() -> Self {
        Self::default()
    }

    /// One node in place of three.
    #[must_use]
    pub fn single(self) -> Self {
        Self { is_single: true, ..self }
    }

    /// Sets a key, written `section.key`.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.values.push((key.to_owned(), value.into()));
        self
    }

    /// Puts the data of the nodes into this directory.
    #[must_use]
    pub fn with_data_in(self, directory: impl Into<PathBuf>) -> Self {
        Self { data_root: Some(directory.into()), ..self }
    }

    /// Writes the changes into a configuration.
    pub(crate) fn apply(&self, config: &mut Table) {
        for (key, value) in &self.values {
            let (section, key) = key.split_once('.').expect("a key is written `section.key`");
            let section = config.entry(section).or_insert_with(|| Value::Table(Table::new()));
            section.as_table_mut().expect("sections are tables").insert(key.to_owned(), value.clone());
        }
    }
}
