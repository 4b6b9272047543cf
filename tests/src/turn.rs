//! Who may load the machine now.

use std::fs::{self, File, OpenOptions};

/// A test's turn, until it is dropped. Holds between the threads of one process and between processes.
///
/// Tests with deadlines need the machine's attention; two cores do not bear many clusters at once.
#[derive(Debug)]
pub struct Turn {
    _lock: File,
}

impl Turn {
    /// Alone.
    pub async fn alone() -> Self {
        Self::wait(File::lock).await
    }

    /// Together with others that are content with that.
    pub async fn shared() -> Self {
        Self::wait(File::lock_shared).await
    }

    async fn wait(lock: fn(&File) -> std::io::Result<()>) -> Self {
        let path = std::env::temp_dir().join("muster-tests");
        fs::create_dir_all(&path).expect("the temporary directory can be written to");
        let file = OpenOptions::new().create(true).append(true).open(path.join("turn")).expect("a lock file");
        let locked = tokio::task::spawn_blocking(move || lock(&file).map(|()| file)).await;
        Self { _lock: locked.expect("waiting does not panic").expect("the file system has locks") }
    }
}
