// SPDX-License-Identifier: MIT

//! Which failures are transient.

/// What is known of an exception.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fault {
    /// Names of its class and of all its bases, most derived first; bare and with their module.
    /// Those of an exception that it stands for follow.
    pub types: Vec<String>,
    /// Its text.
    pub message: String,
    /// What it says of itself, in an attribute `retryable`.
    pub retryable: Option<bool>,
    /// HTTP status, where it carries one.
    pub status: Option<i64>,
}

/// Tells transient failures from permanent ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Classifier {
    /// Class names that are transient, instead of the usual ones.
    names: Option<Vec<String>>,
}

/// Transient wherever they come from. HTTP libraries that do not derive theirs from
/// `ConnectionError` are known by name: no connection, a broken one, no answer in time.
const USUAL: &[&str] = &[
    "TimeoutError",
    "ConnectionError",
    "MemoryError",
    "OutOfMemoryError",
    "RateLimitError",
    "TooManyRequests",
    "ServiceUnavailable",
    "APIConnectionError",
    "requests.exceptions.ConnectionError",
    "requests.exceptions.Timeout",
    "requests.exceptions.ChunkedEncodingError",
    "httpx.TransportError",
    "httpx2.TransportError",
    "aiohttp.client_exceptions.ClientConnectionError",
    "aiohttp.client_exceptions.ClientPayloadError",
    "botocore.exceptions.HTTPClientError",
    "socket.gaierror",
    "urllib3.exceptions.HTTPError",
    "http.client.IncompleteRead",
];

impl Classifier {
    /// From a comma-separated list of class names, dotted or bare; empty = the usual ones.
    pub fn new(list: &str) -> Self {
        let names: Vec<String> = list
            .split(',')
            .map(str::trim)
            .filter(|n| !n.is_empty())
            .map(str::to_owned)
            .collect();
        Self {
            names: (!names.is_empty()).then_some(names),
        }
    }

    /// Whether another attempt may succeed. What the exception says of itself goes first.
    pub fn is_transient(&self, fault: &Fault) -> bool {
        if let Some(says) = fault.retryable {
            return says;
        }
        let is_a = |name: &str| {
            fault
                .types
                .iter()
                .any(|t| t == name || (!name.contains('.') && bare(t) == name))
        };
        match &self.names {
            Some(names) => names.iter().any(|n| is_a(n)),
            None => {
                USUAL.iter().any(|n| is_a(n))
                    || matches!(fault.status, Some(408 | 425 | 429 | 500 | 502 | 503 | 504))
                    || is_out_of_gpu_memory(fault)
            }
        }
    }
}

fn bare(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

/// Older PyTorch, CuPy and ONNX Runtime raise a plain RuntimeError.
fn is_out_of_gpu_memory(fault: &Fault) -> bool {
    let text = fault.message.to_ascii_lowercase();
    fault
        .types
        .iter()
        .any(|t| t == "RuntimeError" || t == "Exception")
        && (text.contains("out of memory") || text.contains("failed to allocate memory"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(types: &[&str]) -> Fault {
        Fault {
            types: types.iter().map(|t| t.to_string()).collect(),
            ..Fault::default()
        }
    }

    #[test]
    fn the_usual_ones_by_class_and_base() {
        let c = Classifier::new("");
        for yes in [
            &["TimeoutError", "OSError", "Exception"][..],
            &["ConnectionResetError", "ConnectionError", "OSError"],
            &["MemoryError"],
            &[
                "OutOfMemoryError",
                "torch.cuda.OutOfMemoryError",
                "RuntimeError",
            ],
            &["RateLimitError", "openai.RateLimitError"],
            &[
                "ReadTimeout",
                "requests.exceptions.ReadTimeout",
                "Timeout",
                "requests.exceptions.Timeout",
            ],
        ] {
            assert!(c.is_transient(&fault(yes)), "{yes:?}");
        }
        for no in [
            &["ValueError", "Exception"][..],
            &["KeyError"],
            &["OSError"],
            &["SystemExit"],
            &[],
        ] {
            assert!(!c.is_transient(&fault(no)), "{no:?}");
        }
    }

    #[test]
    fn what_it_says_of_itself_goes_first() {
        let mut f = fault(&["ValueError"]);
        f.retryable = Some(true);
        assert!(Classifier::new("KeyError").is_transient(&f));
        let mut f = fault(&["TimeoutError"]);
        f.retryable = Some(false);
        assert!(!Classifier::new("").is_transient(&f));
    }

    #[test]
    fn a_list_takes_the_place_of_the_usual_ones() {
        let c = Classifier::new(" ValueError, my.pkg.Busy ,");
        assert!(c.is_transient(&fault(&["UnicodeError", "ValueError"])));
        assert!(c.is_transient(&fault(&["Busy", "my.pkg.Busy"])));
        assert!(!c.is_transient(&fault(&["Busy", "other.Busy"])));
        assert!(!c.is_transient(&fault(&["TimeoutError"])));
        // A bare name stands for the class in any module.
        assert!(Classifier::new("Busy").is_transient(&fault(&["other.Busy"])));
    }

    #[test]
    fn gpu_memory_and_http_status() {
        let c = Classifier::new("");
        let mut f = fault(&["RuntimeError", "Exception"]);
        assert!(!c.is_transient(&f));
        f.message = "CUDA out of memory. Tried to allocate 2.00 GiB".into();
        assert!(c.is_transient(&f));
        let mut f = fault(&["HTTPError", "urllib.error.HTTPError", "OSError"]);
        for (status, transient) in [(400, false), (404, false), (429, true), (500, true)] {
            f.status = Some(status);
            assert_eq!(c.is_transient(&f), transient, "{status}");
        }
    }
}
