//! Command lines that make no sense, and brokers that are not there.

use std::net::TcpListener;

use crate::harness::Process;

#[test]
fn a_command_line_that_makes_no_sense_ends_with_2() {
    for line in [
        "serv",
        "serve --listen nowhere",
        "serve --log loud=louder=loudest",
        "serve --max-packet-size 268435461",
        "pub -t a",
        "pub -t a/# -n",
        "pub -t a -n -D publish colour red",
        "pub -t a -n -V 311 -D publish content-type text",
        "sub",
        "sub -t a -c",
        "sub -t a -F %z",
        "passwd",
    ] {
        let finished = Process::start(line).finish();
        assert_eq!(finished.code, Some(2), "{line}: {finished:?}");
        assert!(!finished.stderr.is_empty(), "{line}");
    }
}

#[test]
fn a_password_in_a_bad_url_is_not_printed() {
    for line in [
        "sub -t a -L mqtt://alice:s3cret@h:port",
        "sub -t a -L mqtt://alice:s3cret",
        "sub -t a -L mqtt://alice:s3cret@",
        "sub -t a -L mqtt://alice:s3cret%zz@h",
        "sub -t a -L mqtts://alice:s3cret@h",
        "sub -t a -L alice:s3cret@h",
        "pub -t a -n --url=alice:s3cret://h",
        "pub -t a -n -Lmqtt://[alice]:s3cret@h]s3cret",
        "pub -t a -n mqtt://alice:s3cret@h/a",
        "sub -h h -L mqtt://alice:s3cret@h/a",
        "sub mqtt://alice:s3cret@h/a",
        "sub -t a --host mqtt://alice:s3cret@127.0.0.1 -q mqtt://alice:s3cret@h",
    ] {
        let finished = Process::start(line).finish();
        assert_eq!(finished.code, Some(2), "{line}: {finished:?}");
        assert!(!finished.stderr.is_empty() && finished.stdout.is_empty(), "{line}: {finished:?}");
        assert!(!finished.stderr.contains("s3cret"), "{line}: {finished:?}");
    }
}

#[test]
fn help_and_version_go_to_stdout() {
    for line in ["--help", "serve --help", "pub --help", "sub --help", "passwd --help", "--version"]
    {
        let text = Process::start(line).finish().expect_success();
        assert!(String::from_utf8_lossy(&text).contains("surgemq"), "{line}");
    }
}

#[test]
fn a_broker_that_is_not_there_is_one_line() {
    let port = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let line = format!("pub -h 127.0.0.1 -p {port} -t a -n");
    Process::start(&line).finish().expect_failure(1, "cannot connect to 127.0.0.1");
    let quiet = Process::start(&format!("{line} --quiet")).finish();
    assert_eq!((quiet.code, quiet.stderr.as_str()), (Some(1), ""));
}

#[test]
fn a_payload_that_cannot_be_read_is_one_line() {
    let line = "pub -h 127.0.0.1 -p 1 -t a -f /does/not/exist";
    Process::start(line).finish().expect_failure(1, "cannot read the payload from /does/not/exist");
}
