//! Files that the configuration names.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::Path,
};

/// Opens a file, or returns an error for a pipe, a socket or a device. To read one may block for ever, and each of the
/// reads that detect changes would see another content.
pub(crate) fn open(path: impl AsRef<Path>) -> io::Result<File> {
    let kind = fs::metadata(&path)?.file_type();
    // The system has an error for the read of a directory.
    if kind.is_file() || kind.is_dir() {
        return File::open(path);
    }
    Err(io::Error::other(
        "it is a pipe, a socket or a device; name a regular file",
    ))
}

/// Reads a file that [`open`] accepts.
pub(crate) fn read(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    open(path)?.read_to_end(&mut content)?;
    Ok(content)
}

/// Reads a file that [`open`] accepts, in UTF-8.
pub(crate) fn read_text(path: impl AsRef<Path>) -> io::Result<String> {
    io::read_to_string(open(path)?)
}

#[cfg(all(test, unix))]
mod tests {
    use std::{
        env,
        os::unix::{fs::symlink, net::UnixListener},
        process::{self, Command},
    };

    use super::*;

    #[test]
    fn only_regular_files_are_read() {
        let directory = env::temp_dir().join(format!("sigv4-gateway-regular-{}", process::id()));
        fs::create_dir_all(&directory).expect("created");
        let at = |name: &str| directory.join(name);
        fs::write(at("file"), "text").expect("written");
        symlink(at("file"), at("link")).expect("linked");
        symlink("/dev/zero", at("device")).expect("linked");
        let socket = UnixListener::bind(at("socket")).expect("bound");
        let made = Command::new("mkfifo").arg(at("pipe")).status();
        assert!(made.expect("mkfifo runs").success());
        for name in ["file", "link"] {
            assert_eq!(read_text(at(name)).expect(name), "text");
        }
        for name in ["device", "socket", "pipe"] {
            let error = read(at(name)).expect_err(name).to_string();
            assert!(error.ends_with("name a regular file"), "{name}: {error}");
        }
        assert!(read(&directory).is_err());
        drop(socket);
        fs::remove_dir_all(&directory).expect("removed");
    }
}
