// SPDX-License-Identifier: MIT

//! What reaches the application of what a node raises and posts, whatever its texts and numbers are.

use crate::{Run, run, run_ok};

const WAYS: [&str; 2] = ["isolation=inprocess", "isolation=process"];

fn failure(run: &Run) -> gst::Structure {
    run.failures().swap_remove(0)
}

#[test]
fn a_text_that_is_no_unicode_keeps_class_line_and_transience() {
    let text = "def process(audio, ctx):\n    if ctx.attempt == 1:\n        raise \
                ConnectionError('cannot send ' + b'caf\\xe9.wav'.decode('utf-8', 'surrogateescape'))\n";
    for way in WAYS {
        let run = run_ok(2, text, way);
        let f = failure(&run);
        assert_eq!(f.get::<&str>("exception"), Ok("ConnectionError"), "{way}");
        assert_eq!(
            f.get::<&str>("message"),
            Ok("cannot send caf\\udce9.wav"),
            "{way}"
        );
        assert_eq!(f.get::<u64>("line"), Ok(3), "{way}");
        assert_eq!(f.get::<bool>("retryable"), Ok(true), "{way}");
        assert_eq!(f.get::<&str>("action"), Ok("retry"), "{way}");
        let trace: String = f.get("traceback").unwrap();
        assert!(trace.contains("line 3, in process"), "{way}: {trace}");
    }
}

#[test]
fn an_exception_that_raises_when_it_is_asked_keeps_class_line_and_traceback() {
    for (hostile, message) in [
        ("status_code = property(lambda self: 1 / 0)", "no"),
        ("retryable = property(lambda self: 1 / 0)", "no"),
        (
            "response = reason = code = property(lambda self: 1 / 0)",
            "no",
        ),
        ("code = lambda self: 1 / 0", "no"),
        ("__getattr__ = lambda self, name: 1 / 0", "no"),
        (
            "__str__ = lambda self: 1 / 0",
            "(its text raised ZeroDivisionError)",
        ),
        ("__getattribute__ = lambda self, name: sys.exit(name)", "no"),
    ] {
        let text = format!(
            "import sys\nclass Odd(ConnectionError):\n    {hostile}\n\
             def process(audio):\n    raise Odd('no')\n"
        );
        for way in WAYS {
            let run = run(1, &text, &format!("max-retries=0 {way}"));
            let f = failure(&run);
            let exception: String = f.get("exception").unwrap();
            assert!(exception.ends_with(".Odd"), "{hostile} {way}: {exception}");
            assert_eq!(f.get::<&str>("message"), Ok(message), "{hostile} {way}");
            assert_eq!(f.get::<u64>("line"), Ok(5), "{hostile} {way}");
            assert_eq!(f.get::<bool>("retryable"), Ok(true), "{hostile} {way}");
            let file: String = f.get("file").unwrap();
            let trace: String = f.get("traceback").unwrap();
            let place = format!("File \"{file}\", line 5, in process");
            assert!(trace.contains(&place), "{hostile} {way}: {trace}");
        }
    }
}

/// Class with the attributes `members`, and whether it is worth another attempt.
const STATUSES: [(&str, bool); 11] = [
    ("status_code = 503", true),
    // As google-genai has it; as a text alone says nothing.
    ("code, status = 503, 'UNAVAILABLE'", true),
    ("status = 'UNAVAILABLE'", false),
    // A number of the service, beside that of HTTP.
    ("code, status = 20429, 429", true),
    ("code, status = 503, 400", false),
    // As requests has it: a response that is false.
    (
        "response = type('R', (), {'status_code': 502, '__bool__': lambda s: False})()",
        true,
    ),
    (
        "response = {'ResponseMetadata': {'HTTPStatusCode': 500}}",
        true,
    ),
    (
        "response = {'ResponseMetadata': {'HTTPStatusCode': 400}, 'Error': {'Code': \
         'ThrottlingException'}}",
        true,
    ),
    ("response = {}", false),
    ("reason = ConnectionResetError()", true),
    ("reason = 'timed out'", false),
];

#[test]
fn a_status_is_found_where_clients_keep_it() {
    for (members, transient) in STATUSES {
        let text =
            format!("class E(Exception):\n    {members}\ndef process(audio):\n    raise E()\n");
        for way in WAYS {
            let run = run(1, &text, &format!("max-retries=0 {way}"));
            let told = failure(&run).get::<bool>("retryable");
            assert_eq!(told, Ok(transient), "{members} {way}");
        }
    }
    // Its code is that of the process.
    let run = run(1, "def process(audio): raise SystemExit(503)\n", "");
    assert_eq!(failure(&run).get::<bool>("retryable"), Ok(false));
}

#[test]
fn whatever_is_posted_arrives_or_is_refused_by_name() {
    let text = "import numpy as np
class N:
    def process(self, audio, ctx):
        ctx.post('level', db=-np.inf, top=float('inf'), nan=np.float32('nan'), none=None,
                 huge=2**70, least=-2**63, most=2**64 - 1, name8='caf\\udce9', text=np.str_('ü'),
                 array=np.arange(3), nested={'a': [np.int16(1), float('-inf')], 'ü\\udce9': 'ü'},
                 long=np.longdouble(2.5), other=1 + 2j)
        for name, fields in [('two words', {}), ('', {}), ('1st', {}), ('level', {'bad key': 1}),
                             ('level', {'': 1}), ('ü', {}), ('level\\n', {}), (5, {})]:
            try:
                ctx.post(name, **fields)
            except (TypeError, ValueError) as error:
                ctx.post('refused', error=f'{type(error).__name__}: {error}')
";
    for way in WAYS {
        let run = run_ok(1, text, &format!("class=N {way}"));
        let level = run.structures("level");
        assert_eq!(level.len(), 1, "{way}");
        let s = &level[0];
        assert_eq!(s.get::<f64>("db"), Ok(f64::NEG_INFINITY));
        assert_eq!(s.get::<f64>("top"), Ok(f64::INFINITY));
        assert!(s.get::<f64>("nan").unwrap().is_nan());
        assert_eq!(s.get::<Option<&str>>("none"), Ok(None));
        assert_eq!(s.get::<&str>("huge"), Ok("1180591620717411303424"));
        assert_eq!(s.get::<i64>("least"), Ok(i64::MIN));
        assert_eq!(s.get::<u64>("most"), Ok(u64::MAX));
        assert_eq!(s.get::<&str>("name8"), Ok("caf\\udce9"));
        assert_eq!(s.get::<&str>("text"), Ok("ü"));
        assert_eq!(s.get::<&str>("array"), Ok("[0,1,2]"));
        let nested = r#"{"a":[1,-Infinity],"ü\\udce9":"ü"}"#;
        assert_eq!(s.get::<&str>("nested"), Ok(nested));
        assert_eq!(s.get::<f64>("long"), Ok(2.5));
        assert_eq!(s.get::<&str>("other"), Ok("(1+2j)"));
        assert_eq!(s.n_fields(), 13);
        let refused: Vec<String> = run
            .structures("refused")
            .iter()
            .map(|s| s.get("error").unwrap())
            .collect();
        let says = "a letter of ASCII, then letters, digits and /-_.:+";
        let expected = [
            ("'two words'", "message"),
            ("''", "message"),
            ("'1st'", "message"),
            ("'bad key'", "field"),
            ("''", "field"),
            ("'ü'", "message"),
            ("'level\\n'", "message"),
        ]
        .map(|(name, what)| format!("ValueError: {name} cannot be the name of a {what}: {says}"));
        assert_eq!(refused[..7], expected, "{way}");
        let number = "TypeError: the name of a message is text, not an object of type int";
        assert_eq!(refused[7..], [number], "{way}");
    }
}

#[test]
fn a_log_line_that_is_no_unicode_costs_nothing() {
    let text =
        "def process(audio, ctx):\n    ctx.log('debug', 'caf\\udce9')\n    ctx.post('done')\n";
    for way in WAYS {
        let run = run_ok(2, text, way);
        assert_eq!(run.structures("done").len(), 2, "{way}");
    }
}
