# SPDX-License-Identifier: MIT
"""Many files at once: ``python3 -m gstrustaudio corpus``.

`options` says what is asked of each file, `inputs` which files there are, `ledger` what has become of them.
`pipeline` works on one file (PyGObject), `worker` is a process that does so, `pool` has several of them, and
`cluster` pools on Ray. `publish` makes tables, manifests and the page of what the ledger has; `run` puts all
together, `command` is the command line. Nothing here is imported by the rest of the package but by that command."""
