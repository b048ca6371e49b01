# SPDX-License-Identifier: MIT
"""Loads nodes and checks what they return.

Runs in the pipeline's own interpreter and in worker processes alike, so that a node behaves the
same in both. Knows neither GStreamer nor the transport. One module with texts.py and
event_loop.py, which go before it.
"""

import ast
import importlib
import importlib.machinery
import importlib.util
import inspect
import itertools
import json
import os
import sys
import traceback
import types

import numpy as np


_DTYPES = {
    "S8": "i1", "U8": "u1", "S16": "i2", "U16": "u2",
    "S32": "i4", "U32": "u4", "F32": "f4", "F64": "f8",
}


# Least that `output_caps` and `start` get, in ns: they load models.
_START = 10_000_000_000


class OutputError(TypeError):
    """The node returned what cannot become audio of the output caps."""


def dtype_of(format_name):
    """The numpy type of a GStreamer sample format in native byte order."""
    for name, code in _DTYPES.items():
        if format_name in (name, name + "LE", name + "BE"):
            return np.dtype(code)
    raise NodeError(f"format {format_name!r} has no numpy type")


def where(obj):
    """File and first line of a function or class, where they are known."""
    try:
        obj = inspect.unwrap(obj)
        while hasattr(obj, "func"):
            obj = obj.func
        return inspect.getsourcefile(obj), inspect.getsourcelines(obj)[1]
    except (TypeError, OSError):
        return None, None


def _call_forms(function, *forms):
    """The first of `forms` (tuples of arguments) that `function` accepts; its index."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return len(forms) - 1
    for index, arguments in enumerate(forms):
        try:
            signature.bind(*arguments)
            return index
        except TypeError:
            continue
    return None


_files = {}
# By the file of a node: what about its modules is not as its author may think.
_surprises = {}


def _surprises_of_file(path, name, text):
    """What a file's name and its imports lead to, where it is not what they say."""
    if name in sys.stdlib_module_names:
        yield (f"{path} is named as a module of Python's own, {name}: others that import that may get "
               "this file. Give it another name")
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        # Loading it will say so.
        return
    for wanted in sorted(_imported(tree)):
        choices = (os.path.join(os.path.dirname(path), wanted + end)
                   for end in (".py", os.sep + "__init__.py"))
        own = next(filter(os.path.exists, choices), None)
        if own is not None and wanted in sys.modules:
            yield from _other(f"{path} imports {wanted}, and", own, sys.modules[wanted])


def _imported(tree):
    """Names of the modules and packages that a text imports, other than relatively."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def _other(who, own, loaded):
    """Says that `loaded` is there in the place of the module in the file `own`, if it is."""
    there = getattr(loaded, "__file__", None)
    if there is None:
        there = "the one that is built into Python"
    elif os.path.realpath(there) == os.path.realpath(own):
        return
    yield (f"{who} gets {there}, which is loaded by that name already, not {own}. Give one of them "
           "another name, make both part of packages (python-path, and a dotted name in module), or "
           "set isolation=process")


def _surprises_of_name(name):
    """The same of a module that is named without a path."""
    top = name.partition(".")[0]
    if top in sys.modules:
        importlib.invalidate_caches()
        found = importlib.machinery.PathFinder.find_spec(top)
        if found is not None and found.has_location:
            yield from _other(f"module={name}", found.origin, sys.modules[top])


def _load_file(path, fresh):
    """The module in the file at `path`; compiled from its text, since cached bytecode goes by a
    timestamp in whole seconds."""
    path = os.path.abspath(path)
    if not fresh and path in _files:
        return _files[path]
    try:
        with open(path, "rb") as source:
            text = source.read()
    except OSError as error:
        raise NodeError(f"cannot read {path}: {error.strerror}", path) from error
    folder, base = os.path.split(path)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    name = os.path.splitext(base)[0]
    module = types.ModuleType(name)
    module.__file__ = path
    _surprises[path] = list(_surprises_of_file(path, name, text))
    # A module of the same name from elsewhere stays what it is to others.
    known = sys.modules.get(name)
    _execute(module, name, text, path, known is None or known is _files.get(path))
    _files[path] = module
    return module


def _execute(module, name, text, path, enter):
    """Runs a module's text; it is among `sys.modules` by then, as dataclasses and pickle ask."""
    before = sys.modules.get(name)
    if enter:
        sys.modules[name] = module
    try:
        exec(compile(text, path, "exec"), module.__dict__)
    except BaseException:
        if enter and before is None:
            sys.modules.pop(name, None)
        elif enter:
            sys.modules[name] = before
        raise


def _load_module(name, fresh):
    if name.endswith(".py") or os.sep in name:
        return _load_file(os.path.expanduser(name), fresh)
    if not fresh or name not in sys.modules:
        surprises = list(_surprises_of_name(name))
        module = importlib.import_module(name)
        _surprises[getattr(module, "__file__", None)] = surprises
        return module
    importlib.invalidate_caches()
    found = importlib.util.find_spec(name)
    if found is None or not found.origin or not found.origin.endswith(".py"):
        return importlib.import_module(name)
    module = importlib.util.module_from_spec(found)
    with open(found.origin, "rb") as source:
        text = source.read()
    _execute(module, name, text, found.origin, True)
    return module


class Node:
    """A loaded node: `call(audio, ctx)` or, if not `takes_ctx`, `call(audio)`."""

    def __init__(self, spec, limits=None):
        self.spec = json.loads(spec)
        self.loop = EventLoop(limits)
        self.info = None
        self.output = None
        for folder in reversed([p for p in (self.spec.get("python-path") or "").split(os.pathsep) if p]):
            folder = os.path.abspath(os.path.expanduser(folder))
            if folder in sys.path:
                sys.path.remove(folder)
            sys.path.insert(0, folder)
        self._load(fresh=False)

    def _load(self, fresh):
        spec = self.spec
        module_name = spec.get("module")
        if not module_name:
            raise NodeError("`module` is not set: the name of a module or the path of a .py file")
        module = _load_module(module_name, fresh)
        file = getattr(module, "__file__", None)
        self.surprises = _surprises.get(file, [])
        kwargs = spec.get("kwargs") or {}
        wanted = spec.get("class") or spec.get("function") or "process"
        target = module
        for part in wanted.split("."):
            target = getattr(target, part, None)
            if target is None:
                names = sorted(
                    n for n, v in vars(module).items()
                    if not n.startswith("_") and (inspect.isclass(v) or inspect.isroutine(v))
                    and getattr(v, "__module__", module.__name__) == module.__name__
                )
                has = f"; it has {', '.join(names)}" if names else ""
                kind = "class" if spec.get("class") else "function"
                raise NodeError(f"{module_name} has no {kind} {wanted!r}{has}", file)
        if not callable(target):
            raise NodeError(f"{wanted!r} in {module_name} cannot be called", file)
        if spec.get("class"):
            if _call_forms_kwargs(target, kwargs) is False:
                at, line = where(getattr(target, "__init__", target))
                raise NodeError(
                    f"{wanted}{_signature(target)} does not take the arguments {json.dumps(kwargs)}",
                    at or file, line)
            instance = target(**kwargs)
            process = getattr(instance, "process", None)
            if process is None and callable(instance):
                process = instance
            if process is None:
                at, line = where(target)
                raise NodeError(f"class {wanted} has no method `process`", at or file, line)
        else:
            instance = target
            process = target
        forms = _bind_process(process, wanted, {} if spec.get("class") else kwargs, file)
        self.instance = instance
        self.call, self.takes_ctx = forms
        self.drain_hook = _first(instance, "drain")
        # The pipeline asks such calls to end before it ends them.
        self.cancellable = is_async(process) or is_async(self.drain_hook)
        if is_async(process):
            self.call = _settled(self.call, self.loop)
        self.start_hook = _first(instance, "start", "initialize")
        self.stop_hook = _first(instance, "stop", "cleanup", "close")
        self.caps_hook = getattr(instance, "output_caps", None)
        self.in_place = bool(getattr(instance, "in_place", False))
        at, _ = where(target)
        self.file = clean(os.path.abspath(file or at)) if (file or at) else None

    def describe(self):
        return json.dumps({
            "file": self.file,
            "in-place": self.in_place,
            "takes-ctx": self.takes_ctx,
            "output-caps": self.caps_hook is not None,
            "drain": self.drain_hook is not None,
            "cancellable": self.cancellable,
            "surprises": [clean(text) for text in self.surprises],
        })

    def start(self, info):
        """Takes up the format of the stream; the output format that the node asks for, or None."""
        self.info = json.loads(info)
        return json.dumps(self._start())

    def _start(self):
        info = self.info
        wanted = None
        if self.caps_hook is not None:
            caps = {k: info[k] for k in ("format", "rate", "channels", "layout")}
            wanted = self.loop.settle(self.caps_hook(dict(caps)), _START)
            if wanted is not None:
                wanted = _check_caps(wanted, self.caps_hook)
        out = {**info, **(wanted or {})}
        self.output = Output(out["format"], out["channels"], out["layout"] == "non-interleaved",
                             self.spec.get("layout") == "channels-first")
        if self.start_hook is not None:
            namespace = types.SimpleNamespace(**info, dtype=dtype_of(info["format"]))
            self.loop.settle(_call_hook(self.start_hook, namespace, "info"), _START)
        return wanted

    def drain(self, ctx):
        """What the node still holds, as `process` returns it."""
        if self.drain_hook is None:
            return None
        return self.loop.settle(_call_hook(self.drain_hook, ctx, "ctx"))

    def reload(self):
        """Replaces the node by what its file says now; leaves all as it was if that fails."""
        old = dict(self.__dict__)
        tasks = self.loop.tasks()
        try:
            self._load(fresh=True)
            if self.info is not None:
                before = old["output"]
                self._start()
                if before is not None and self.output != before:
                    raise NodeError("the output caps cannot change in a reload", self.file)
        except BaseException:
            self.__dict__.clear()
            self.__dict__.update(old)
            raise
        if old["info"] is not None and old["stop_hook"] is not None:
            # The new node is in place: what its predecessor says on leaving changes nothing.
            try:
                self.loop.settle(old["stop_hook"](), stopping=True)
            except BaseException:
                traceback.print_exc()
        self.loop.clear(tasks)
        return self.describe()

    def stop(self):
        try:
            if self.info is not None and self.stop_hook is not None:
                self.loop.settle(self.stop_hook(), stopping=True)
        finally:
            self.loop.clear()
            self.info = None
            flush()

    def close(self):
        """The node is not used any more."""
        self.loop.close()

    def outputs(self, result):
        """The arrays that `result` is made of; None if it turns out to be none."""
        try:
            return self.output.arrays(result)
        except OutputError:
            # Of a function that does not say that it is async.
            if not is_awaitable(result):
                raise
        result = self.loop.settle(result)
        return None if result is None else self.output.arrays(result)


def _settled(call, loop):
    """`call`, which gives what has to be awaited, as one that waits for it. Knows nothing of the
    node, which would never go otherwise."""
    return lambda *arguments: loop.settle(call(*arguments))


def _call_hook(hook, argument, name):
    """Calls a hook with its argument, or without if it takes none."""
    form = _call_forms(hook, (argument,), ())
    if form is None:
        at, line = where(hook)
        raise NodeError(f"{hook.__name__}{_signature(hook)} takes neither `{name}` nor nothing",
                        at, line)
    return hook(argument) if form == 0 else hook()


def _call_forms_kwargs(target, kwargs):
    try:
        inspect.signature(target).bind(**kwargs)
    except TypeError:
        return False
    except ValueError:
        pass
    return True


def _signature(function):
    try:
        return str(inspect.signature(function))
    except (TypeError, ValueError):
        return "(...)"


def _bind_process(process, wanted, kwargs, file):
    """`process` with `kwargs` bound, and whether it takes `ctx`."""
    import functools

    bound = functools.partial(process, **kwargs) if kwargs else process
    form = _call_forms(bound, (None, None), (None,))
    if form is None:
        at, line = where(process)
        raise NodeError(
            f"{wanted}: {getattr(process, '__name__', 'process')}{_signature(process)} cannot be "
            "called as process(audio, ctx) or process(audio)", at or file, line)
    return bound, form == 0


def _first(instance, *names):
    for name in names:
        hook = getattr(instance, name, None)
        if callable(hook):
            return hook
    return None


def _check_caps(wanted, hook):
    at, line = where(hook)
    if not isinstance(wanted, dict):
        raise NodeError(f"output_caps returned {type(wanted).__name__}, expected a dict", at, line)
    allowed = {"format": str, "rate": int, "channels": int, "layout": str}
    clean = {}
    for key, value in wanted.items():
        if key not in allowed:
            raise NodeError(f"output_caps returned the field {key!r}; known are {', '.join(allowed)}",
                            at, line)
        try:
            clean[key] = allowed[key](value)
        except (TypeError, ValueError):
            raise NodeError(f"output_caps returned {key}={value!r}", at, line) from None
    if "format" in clean:
        dtype_of(clean["format"])
    if clean.get("rate", 1) < 1 or clean.get("channels", 1) < 1:
        raise NodeError(f"output_caps returned {wanted!r}", at, line)
    return clean


class Output:
    """Turns what a node returns into arrays in the memory order of the output caps."""

    def __init__(self, format_name, channels, planar, channels_first):
        self.format = format_name
        self.dtype = dtype_of(format_name)
        self.channels = channels
        self.planar = planar
        self.channels_first = channels_first

    def __eq__(self, other):
        return vars(self) == vars(other)

    def arrays(self, result):
        """A list of arrays; an iterator of them where `result` makes its items one by one. Each of
        those must be taken before the next one is asked for, which may use its memory again."""
        if isinstance(result, (np.ndarray, bytes, bytearray, memoryview)) or hasattr(result, "__array__"):
            return [self._array(result, "the node returned")]
        try:
            items = iter(result)
        except TypeError:
            raise OutputError(
                f"the node returned {_kind(result)}; expected None, an array, bytes, or an "
                "iterable of them") from None
        made = map(self._item, itertools.count(), items)
        return list(made) if isinstance(result, (list, tuple)) else made

    def _item(self, index, item):
        return self._array(item, f"item {index} of what the node returned is")

    def _array(self, item, says):
        if isinstance(item, (bytes, bytearray, memoryview)):
            frame = self.dtype.itemsize * self.channels
            size = item.nbytes if isinstance(item, memoryview) else len(item)
            if size % frame:
                raise OutputError(f"{says} {size} bytes; expected a multiple of {frame}, the size of "
                                  f"a frame of {self.channels} x {self.format}")
            flat = np.frombuffer(item, self.dtype)
            # Bytes are in the order of the caps, whatever the shape of arrays.
            return flat.reshape((self.channels, -1) if self.planar else (-1, self.channels))
        if not isinstance(item, np.ndarray):
            if not hasattr(item, "__array__"):
                raise OutputError(f"{says} {_kind(item)}; expected an array or bytes")
            item = np.asarray(item)
        if item.dtype != self.dtype or not item.dtype.isnative:
            raise OutputError(f"{says} an array of {item.dtype}; expected {self.dtype} for "
                              f"{self.format} (see astype, or output_caps)")
        axis = 0 if self.channels_first else 1
        if item.ndim == 1 and self.channels == 1:
            item = item.reshape((1, -1) if self.channels_first else (-1, 1))
        if item.ndim != 2 or item.shape[axis] != self.channels:
            expected = (f"({self.channels}, frames)" if self.channels_first
                        else f"(frames, {self.channels})")
            raise OutputError(f"{says} an array of shape {item.shape}; expected {expected}")
        if self.channels_first != self.planar:
            item = item.T
        return np.ascontiguousarray(item)


def flush():
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            pass
