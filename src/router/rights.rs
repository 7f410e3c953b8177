//! What a face may do, and what it is shown.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use super::command::Command;
use super::notice::{Code, Failure, Notice};

/// What a face may do besides what all faces may, from its beginning to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FaceRights {
    /// End klatch, or its stay in the room: `quit`, `leave` and the end of stdin.
    pub quit: bool,
    /// See in which folders of this computer files are, except in sentences that name one.
    pub see_paths: bool,
    /// Name files and folders of this computer, to offer files from there or save them there.
    pub name_paths: bool,
}

impl FaceRights {
    /// The terminal's: all.
    pub const TERMINAL: Self = Self { quit: true, see_paths: true, name_paths: true };
    /// A page's. Whatever it offers reaches klatch as bytes.
    pub const PAGE: Self = Self { quit: true, see_paths: true, name_paths: false };
    /// A job's, which ends before klatch does.
    pub const JOB: Self = Self { quit: false, see_paths: true, name_paths: true };
    /// None, for a face that has ended.
    pub const NONE: Self = Self { quit: false, see_paths: false, name_paths: false };

    /// Whether a face may give a command.
    ///
    /// # Errors
    /// `permission_denied` if it may not.
    pub fn check(self, command: &Command) -> Result<(), Failure> {
        let denied = match command {
            Command::Quit(_) | Command::EndOfInput if !self.quit => "end klatch",
            Command::Leave(_) if !self.quit => "leave the room",
            Command::Send { .. } | Command::SendAs { .. } if !self.name_paths => {
                "offer files by their paths"
            }
            Command::Fetch { folder: Some(_), .. } if !self.name_paths => {
                "say which folder a file is saved to"
            }
            _ => return Ok(()),
        };
        let text = format!("this page or program may not {denied}: do it in klatch's terminal");
        Err(Failure::new(Code::PermissionDenied, text))
    }

    /// A notice in the form that a face is shown.
    #[must_use]
    pub fn shown(self, notice: &Notice) -> Cow<'_, Notice> {
        if self.see_paths {
            return Cow::Borrowed(notice);
        }
        let mut notice = notice.clone();
        if let Notice::HashProgress { path, .. }
        | Notice::HashFailed { path, .. }
        | Notice::AlreadyHave { path, .. }
        | Notice::DownloadFinished { path, .. } = &mut notice
        {
            *path = self.shown_path(path);
        }
        Cow::Owned(notice)
    }

    /// A path in the form that a face is shown: without its folder if the face may not see that.
    #[must_use]
    pub fn shown_path(self, path: &Path) -> PathBuf {
        match path.file_name() {
            Some(name) if !self.see_paths => name.into(),
            _ => path.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::router::command::{LeaveWhen, SaveAs};
    use crate::router::ids::FileId;
    use crate::router::notice::FileInfo;

    fn fetch(folder: Option<PathBuf>) -> Command {
        Command::Fetch { wanted: "a".into(), patient: true, save: SaveAs::Plain, folder }
    }

    #[test]
    fn a_face_may_give_what_its_rights_allow_and_nothing_else() {
        let quits = [
            Command::Quit(LeaveWhen::Now),
            Command::Quit(LeaveWhen::Served),
            Command::Leave(LeaveWhen::Confirmed),
            Command::EndOfInput,
        ];
        let paths = [
            Command::Send { paths: vec!["/etc/passwd".into()] },
            Command::SendAs { path: "/etc/passwd".into(), name: "a".into() },
            fetch(Some("/etc".into())),
        ];
        let always = [
            Command::Share { path: "/copy".into(), name: "a".into() },
            Command::Say { text: "hello".into() },
            Command::EndFace { keep_offers: true },
            fetch(None),
        ];
        let may = |rights: FaceRights, commands: &[Command]| {
            let allowed = commands.iter().filter(|command| {
                let denied = rights.check(command).err();
                assert!(denied.as_ref().is_none_or(|of| of.code == Code::PermissionDenied));
                denied.is_none()
            });
            let count = allowed.count();
            assert!(count == 0 || count == commands.len(), "{rights:?}: {commands:?}");
            count > 0
        };
        for rights in [FaceRights::TERMINAL, FaceRights::PAGE, FaceRights::JOB, FaceRights::NONE] {
            assert_eq!(may(rights, &quits), rights.quit);
            assert_eq!(may(rights, &paths), rights.name_paths);
            assert!(may(rights, &always));
        }
    }

    #[test]
    fn folders_are_shown_to_whoever_may_see_them() {
        let saved = |path: &str| Notice::AlreadyHave {
            file: FileInfo { id: FileId([7; 32]), name: "a".into(), size: 1 },
            path: path.into(),
        };
        let notice = saved("/home/ada/a.bin");
        assert_eq!(*FaceRights::PAGE.shown(&notice), notice);
        assert_eq!(*FaceRights::NONE.shown(&notice), saved("a.bin"));
        let other = Notice::Remark { text: "x".into() };
        assert_eq!(*FaceRights::NONE.shown(&other), other);
    }
}
