//! A command whose output is passed on as it comes, and whose last lines are kept for who has to explain a failure.

use std::{
    collections::VecDeque,
    fmt,
    io::{BufRead, BufReader, Read},
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError, Sender},
    thread,
    time::Duration,
};

/// As many lines as a failed run of pytest takes to name its failures, and as many characters as fit on a screen's line.
const LINES: usize = 40;
const CHARACTERS: usize = 300;

/// How long to listen on to a command that has ended: a process that it left behind may keep the pipe open for ever.
const PATIENCE: Duration = Duration::from_millis(200);

/// The end of what a command said before it failed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Transcript {
    last: VecDeque<String>,
    pub(crate) verdict: String,
}

impl Transcript {
    fn push(&mut self, line: &str) {
        if self.last.len() == LINES {
            self.last.pop_front();
        }
        self.last.push_back(line.chars().take(CHARACTERS).collect());
    }

    fn failed(mut self, verdict: impl fmt::Display) -> Self {
        self.verdict = verdict.to_string();
        self
    }
}

impl fmt::Display for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.last {
            writeln!(f, "| {line}")?;
        }
        f.write_str(&self.verdict)
    }
}

/// Runs the command to its end and shows what it prints on either stream.
pub(crate) fn run(mut command: Command) -> Result<(), Transcript> {
    let mut transcript = Transcript::default();
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => return Err(transcript.failed(error)),
    };
    let lines = listen(&mut child);
    loop {
        match lines.recv_timeout(PATIENCE) {
            Ok(line) => {
                println!("{line}");
                transcript.push(&line);
            }
            Err(RecvTimeoutError::Timeout) if !matches!(child.try_wait(), Ok(None)) => break,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    match child.wait() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(transcript.failed(status)),
        Err(error) => Err(transcript.failed(error)),
    }
}

/// The lines of both streams in the order in which they come.
fn listen(child: &mut Child) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    if let Some(stdout) = child.stdout.take() {
        forward(stdout, sender.clone());
    }
    if let Some(stderr) = child.stderr.take() {
        forward(stderr, sender);
    }
    receiver
}

fn forward(stream: impl Read + Send + 'static, sender: Sender<String>) {
    thread::spawn(move || {
        let mut stream = BufReader::new(stream);
        let mut line = Vec::new();
        while matches!(stream.read_until(b'\n', &mut line), Ok(length) if length > 0) {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            if sender.send(text).is_err() {
                return;
            }
            line.clear();
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_command_that_succeeds_leaves_nothing() {
        assert!(run(shell("echo something")).is_ok());
    }

    #[test]
    fn a_command_that_fails_leaves_its_last_lines_and_its_status() {
        let failure = run(shell("seq 100; exit 3")).unwrap_err();
        assert_eq!(failure.last.len(), LINES);
        assert!(failure.to_string().starts_with("| 61\n"));
        assert!(failure.to_string().ends_with("| 100\nexit status: 3"));
    }

    #[test]
    fn a_program_that_is_missing_is_a_failure() {
        let failure = run(Command::new("there-is-no-such-program")).unwrap_err();
        assert!(!failure.verdict.is_empty());
    }

    #[test]
    fn a_process_that_a_command_left_behind_keeps_nobody_waiting() {
        let failure = run(shell("echo before; sleep 1000 & echo $!; exit 1")).unwrap_err();
        let left_behind = &failure.last[1];
        assert!(
            shell(&format!("kill {left_behind}"))
                .status()
                .unwrap()
                .success()
        );
        assert_eq!(failure.last[0], "before");
    }
}
