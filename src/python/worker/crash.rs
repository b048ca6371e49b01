// SPDX-License-Identifier: MIT

//! The stack that a worker wrote when it crashed or was killed, as `faulthandler` writes it.

/// What is known of the end of a worker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stack {
    /// Threads and their frames, innermost first; without those of the worker's own code.
    pub text: String,
    /// Innermost frame of the thread that crashed: in the file of the node, if it is in there.
    pub place: Option<(String, u64)>,
}

impl Stack {
    /// Reads what `faulthandler` wrote; `file` is that of the node.
    pub fn read(written: &str, file: Option<&str>) -> Self {
        let kept: Vec<String> = written
            .split("\n\n")
            .filter(|block| !block.contains("in watch_parent"))
            .filter(|block| !block.starts_with("Extension modules:"))
            .map(without_own)
            .filter(|block| !block.is_empty())
            .collect();
        let text = kept.join("\n\n");
        let frames: Vec<_> = kept
            .iter()
            // Since Python 3.14 "Current thread's C stack trace" follows.
            .rfind(|b| b.starts_with("Current thread 0x") || b.starts_with("Stack"))
            .map_or("", String::as_str)
            .lines()
            .filter_map(frame)
            .collect();
        let place = frames
            .iter()
            .find(|(name, _)| Some(*name) == file)
            .or(frames.first())
            .map(|(name, line)| ((*name).to_owned(), *line));
        Self { text, place }
    }
}

/// A block without the frames of worker.py and node.py.
fn without_own(block: &str) -> String {
    let own = |line: &&str| {
        frame(line).is_some_and(|(name, _)| name == "<string>" || name.starts_with("<rustaudio>"))
    };
    let kept: Vec<&str> = block.lines().filter(|line| !own(line)).collect();
    kept.join("\n")
}

/// File and line of `  File "/a/b.py", line 3 in f`.
fn frame(line: &str) -> Option<(&str, u64)> {
    let (name, rest) = line
        .trim_start()
        .strip_prefix("File \"")?
        .split_once("\", line ")?;
    Some((name, rest.split(' ').next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRITTEN: &str = "Fatal Python error: Segmentation fault\n\n\
        Thread 0x01 (most recent call first):\n\
        \x20 File \"<rustaudio>/worker.py\", line 60 in watch_parent\n\
        \x20 File \"/usr/lib/threading.py\", line 975 in run\n\n\
        Current thread 0x02 (most recent call first):\n\
        \x20 File \"/usr/lib/ctypes/__init__.py\", line 519 in string_at\n\
        \x20 File \"/tmp/node.py\", line 7 in deeper\n\
        \x20 File \"/tmp/node.py\", line 12 in process\n\
        \x20 File \"<rustaudio>/worker.py\", line 230 in call\n\n\
        Extension modules: numpy.core (total: 1)\n";

    #[test]
    fn frames_of_the_worker_are_left_out() {
        let stack = Stack::read(WRITTEN, Some("/tmp/node.py"));
        assert_eq!(
            stack.text,
            "Fatal Python error: Segmentation fault\n\n\
             Current thread 0x02 (most recent call first):\n\
             \x20 File \"/usr/lib/ctypes/__init__.py\", line 519 in string_at\n\
             \x20 File \"/tmp/node.py\", line 7 in deeper\n\
             \x20 File \"/tmp/node.py\", line 12 in process"
        );
        assert_eq!(stack.place, Some(("/tmp/node.py".to_owned(), 7)));
    }

    #[test]
    fn the_c_stack_of_newer_pythons_is_not_taken_for_the_node() {
        let written = format!(
            "{WRITTEN}\nCurrent thread's C stack trace (most recent call first):\n\
             \x20 Binary file \"python3\", at _Py_DumpStack+0x4a [0x49b2f9]\n"
        );
        let place = Stack::read(&written, Some("/tmp/node.py")).place;
        assert_eq!(place, Some(("/tmp/node.py".to_owned(), 7)));
    }

    #[test]
    fn where_the_node_is_not_in_the_stack_the_innermost_frame_counts() {
        let stack = Stack::read(WRITTEN, None);
        let innermost = ("/usr/lib/ctypes/__init__.py".to_owned(), 519);
        assert_eq!(stack.place, Some(innermost));
        assert_eq!(Stack::read("", None), Stack::default());
        assert_eq!(Stack::read("File \"a\", line x in y\n\n", None).place, None);
    }
}
