"""Retries and the circuit breaker on functions of one's own."""
import asyncio
import builtins
import doctest
import gc
import json
import pickle
import signal
import socket
import sys
import threading
import time
import traceback
import unittest
import urllib.error
import weakref

from gstrustaudio import (
    BreakerChange,
    CircuitBreaker,
    CircuitOpenError,
    Metrics,
    NodeFailure,
    RetryPolicy,
    pipeline_document,
    resilience,
    retry,
)


class Clock:
    """Time that passes when it is told to."""

    def __init__(self):
        self.now = 0.0
        self.waits = []

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.waits.append(seconds)
        self.now += seconds


class Flaky:
    """Raises the errors that it was given, one a call, then answers."""

    def __init__(self, *errors):
        self.errors = list(errors)
        self.calls = 0

    def __call__(self, *args, **kwargs):
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return args, kwargs


def fails(error=TimeoutError):
    def function():
        raise error("no answer")

    return function


class Waits(unittest.TestCase):
    def test_three_retries_after_100_200_and_400_ms(self):
        clock = Clock()
        flaky = Flaky(*[ConnectionError(str(n)) for n in range(4)])
        guarded = retry(sleep=clock.sleep, clock=clock)(flaky)
        with self.assertRaises(ConnectionError) as caught:
            guarded()
        self.assertEqual(clock.waits, [0.1, 0.2, 0.4])
        self.assertEqual((flaky.calls, str(caught.exception)), (4, "3"))

    def test_a_success_ends_the_attempts_and_the_arguments_arrive_each_time(self):
        clock = Clock()
        guarded = retry(sleep=clock.sleep)(Flaky(TimeoutError(), MemoryError()))
        self.assertEqual(guarded(1, two=2), ((1,), {"two": 2}))
        self.assertEqual(clock.waits, [0.1, 0.2])

    def test_the_policy_sets_number_growth_and_longest_wait(self):
        clock = Clock()
        policy = RetryPolicy(max_retries=5, initial_backoff=1, backoff_multiplier=3, max_backoff=10)
        with self.assertRaises(TimeoutError):
            retry(policy, sleep=clock.sleep)(fails())()
        self.assertEqual(clock.waits, [1, 3, 9, 10, 10])

    def test_jitter_leaves_off_part_of_each_wait(self):
        clock = Clock()
        policy = RetryPolicy(max_retries=200, backoff_multiplier=1, backoff_jitter=0.5)
        with self.assertRaises(TimeoutError):
            retry(policy, sleep=clock.sleep)(fails())()
        self.assertEqual(len(set(clock.waits)), 200)
        self.assertTrue(all(0.05 <= wait <= 0.1 for wait in clock.waits), clock.waits)
        # In both halves of where they may be.
        self.assertTrue(min(clock.waits) < 0.075 < max(clock.waits))

    def test_no_attempt_starts_after_the_deadline(self):
        clock = Clock()
        with self.assertRaises(TimeoutError) as caught:
            retry(RetryPolicy(deadline=0.5), sleep=clock.sleep, clock=clock)(fails())()
        self.assertEqual(clock.waits, [0.1, 0.2])
        self.assertEqual(caught.exception.retry_info,
                         resilience.RetryInfo(3, 4, caught.exception.retry_info.elapsed, "deadline"))
        self.assertAlmostEqual(caught.exception.retry_info.elapsed, 0.3)

    def test_the_default_wait_takes_its_time(self):
        start = time.monotonic()
        retry(RetryPolicy(max_retries=1, initial_backoff=0.05))(Flaky(TimeoutError()))()
        self.assertGreaterEqual(time.monotonic() - start, 0.05)


class Classes(unittest.TestCase):
    def calls(self, error, **policy):
        flaky = Flaky(error)
        try:
            retry(RetryPolicy(**policy), sleep=lambda s: None)(flaky)()
        except type(error):
            pass
        return flaky.calls

    def test_what_may_pass_is_tried_again_and_what_would_come_back_is_not(self):
        class Response:
            status_code = 503

        class HttpError(Exception):
            response = Response()

        class Busy(Exception):
            retryable = True

        class Never(TimeoutError):
            retryable = False

        reset = urllib.error.URLError(ConnectionResetError("reset"))
        not_found = urllib.error.HTTPError("http://x", 404, "not found", None, None)
        throttled = urllib.error.HTTPError("http://x", 429, "slow down", None, None)
        for error, calls in [
            (TimeoutError(), 2), (ConnectionResetError(), 2), (MemoryError(), 2), (HttpError(), 2),
            (Busy(), 2), (reset, 2), (throttled, 2), (RuntimeError("CUDA out of memory"), 2),
            (ValueError(), 1), (OSError(), 1), (Never(), 1), (not_found, 1), (KeyError("x"), 1),
        ]:
            with self.subTest(error=repr(error)):
                self.assertEqual(self.calls(error), calls)

    def test_names_and_classes_take_the_place_of_the_usual_ones(self):
        class TimeoutError(Exception):
            """Not Python's."""

        for retry_on, yes, no in [
            ("ValueError, my.Busy", UnicodeError("x"), ConnectionError()),
            (ValueError, UnicodeError("x"), ConnectionError()),
            ((KeyError, "ValueError"), KeyError("x"), ConnectionError()),
            ((KeyError, "ValueError"), ValueError("x"), ConnectionError()),
            (builtins.TimeoutError, socket.timeout(), TimeoutError()),
        ]:
            with self.subTest(retry_on=retry_on):
                self.assertEqual(self.calls(yes, retry_on=retry_on), 2)
                self.assertEqual(self.calls(no, retry_on=retry_on), 1)

    def test_an_exception_that_raises_at_every_touch_is_a_permanent_failure(self):
        class Hostile(Exception):
            def __getattribute__(self, name):
                raise RuntimeError(name)

            def __str__(self):
                raise RuntimeError("str")

            def __setattr__(self, name, value):
                raise RuntimeError(name)

        guarded = retry(sleep=lambda s: None)(fails(Hostile))
        try:
            guarded()
        except Exception as error:
            self.assertIs(type(error), Hostile)
        else:
            self.fail("nothing was raised")
        self.assertIn("its text raised RuntimeError", guarded.metrics()["last-error"])


class Raised(unittest.TestCase):
    def test_the_last_exception_comes_with_its_own_traceback_and_tells_of_the_attempts(self):
        def work():
            raise ConnectionError(f"attempt {flaky.calls}")

        class Counted(Flaky):
            def __call__(self):
                self.calls += 1
                work()

        flaky = Counted()
        error = None
        try:
            retry(sleep=lambda s: None)(flaky)()
        except ConnectionError as raised:
            error = raised
        self.assertEqual(str(error), "attempt 4")
        self.assertIsNone(error.__cause__)
        self.assertIsNone(error.__context__, "not chained to those before it")
        names = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
        self.assertEqual(names[-2:], ["__call__", "work"])
        self.assertEqual((error.retry_info.attempts, error.retry_info.max_attempts, error.retry_info.reason),
                         (4, 4, "exhausted"))
        [note] = error.__notes__
        self.assertRegex(note, r"^gstrustaudio\.retry gave up after 4 attempts in \S+ s: all retries are used up$")
        if sys.version_info >= (3, 11):
            self.assertIn(note, "".join(traceback.format_exception(error)))

    def test_one_that_was_not_tried_again_needs_no_note(self):
        with self.assertRaises(ValueError) as caught:
            retry()(fails(ValueError))()
        self.assertEqual(caught.exception.retry_info.reason, "permanent")
        self.assertFalse(hasattr(caught.exception, "__notes__"))

    def test_nothing_of_a_call_is_kept(self):
        class Argument:
            pass

        guarded = retry(sleep=lambda s: None)(Flaky(TimeoutError()))
        argument = Argument()
        gone = weakref.ref(argument)
        guarded(argument)
        del argument
        gc.collect()
        self.assertIsNone(gone())


class Breakers(unittest.TestCase):
    def test_it_opens_after_5_failures_in_a_row_tries_once_after_its_pause_and_closes(self):
        clock = Clock()
        breaker = CircuitBreaker(clock=clock)
        flaky = Flaky(*[ValueError(str(n)) for n in range(6)])
        guarded = breaker(flaky)
        for n in range(5):
            self.assertEqual((breaker.state, breaker.failures), ("closed", n))
            self.assertRaises(ValueError, guarded)
        self.assertEqual((breaker.state, flaky.calls, breaker.retry_after()), ("open", 5, 30.0))
        clock.now = 29.5
        with self.assertRaises(CircuitOpenError) as caught:
            guarded()
        self.assertEqual((caught.exception.retry_after, caught.exception.failures), (0.5, 5))
        self.assertRegex(str(caught.exception), r"^Flaky failed 5 times in a row and is not called; "
                                                r"it is tried again in 0\.5 s; last: ValueError: 4$")
        clock.now = 30.0
        self.assertRaises(ValueError, guarded)
        self.assertEqual((breaker.state, flaky.calls), ("open", 6))
        clock.now = 59.5
        self.assertRaises(CircuitOpenError, guarded)
        clock.now = 60.0
        self.assertEqual(guarded(), ((), {}))
        self.assertEqual((breaker.state, breaker.failures, breaker.retry_after()), ("closed", 0, 0.0))

    def test_a_call_counts_once_with_all_its_attempts_and_a_trial_is_one_attempt(self):
        clock = Clock()
        breaker = CircuitBreaker(threshold=2, cooldown=10, clock=clock)
        flaky = Flaky(*[TimeoutError() for _ in range(9)])
        guarded = retry(breaker=breaker, sleep=lambda s: None, clock=clock)(flaky)
        self.assertRaises(TimeoutError, guarded)
        self.assertEqual((flaky.calls, breaker.failures), (4, 1))
        self.assertRaises(TimeoutError, guarded)
        self.assertEqual((flaky.calls, breaker.state), (8, "open"))
        clock.now = 10
        self.assertRaises(TimeoutError, guarded)
        self.assertEqual((flaky.calls, breaker.state), (9, "open"))

    def test_functions_may_share_one(self):
        breaker = CircuitBreaker(threshold=2)
        one, two = breaker(fails()), retry(RetryPolicy(max_retries=0), breaker=breaker)(fails())
        self.assertRaises(TimeoutError, one)
        self.assertRaises(TimeoutError, two)
        self.assertRaises(CircuitOpenError, one)
        self.assertRaises(CircuitOpenError, two)
        breaker.reset()
        self.assertRaises(TimeoutError, one)

    def test_as_a_context(self):
        breaker = CircuitBreaker(threshold=1)
        with breaker:
            with breaker:
                pass
        with self.assertRaises(KeyError):
            with breaker:
                raise KeyError("x")
        entered = False
        with self.assertRaises(CircuitOpenError):
            with breaker:
                entered = True
        self.assertFalse(entered)
        inner, outer = CircuitBreaker(), CircuitBreaker()
        with outer:
            try:
                with inner:
                    raise KeyError("x")
            except KeyError:
                pass
        self.assertEqual((inner.failures, outer.failures), (1, 0))
        told = breaker.metrics()
        self.assertEqual((told["num-buffers"], told["num-errors"], told["num-skipped"]), (4, 1, 1))

    def test_what_interrupts_a_trial_does_not_count_and_the_trial_is_made_again(self):
        clock = Clock()
        breaker = CircuitBreaker(threshold=1, cooldown=1, clock=clock)
        answers = Flaky(ValueError(), KeyboardInterrupt(), SystemExit())
        guarded = breaker(answers)
        self.assertRaises(ValueError, guarded)
        clock.now = 1
        kept = []
        for kind in (KeyboardInterrupt, SystemExit):
            try:
                guarded()
            except kind as error:
                # With its traceback, which holds the call.
                kept.append(error)
            self.assertEqual((breaker.state, breaker.failures), ("open", 1))
        guarded()
        self.assertEqual(breaker.state, "closed")

    def test_the_error_survives_pickling(self):
        error = CircuitOpenError("ask", 1.5, 5, "TimeoutError: x")
        self.assertEqual(type(error).__module__, "gstrustaudio.resilience")
        again = pickle.loads(pickle.dumps(error))
        self.assertEqual((str(again), again.retry_after, again.failures), (str(error), 1.5, 5))


class Threads(unittest.TestCase):
    def test_of_many_threads_one_makes_the_trial(self):
        clock = Clock()
        breaker = CircuitBreaker(threshold=1, cooldown=1, clock=clock)
        calls, inside, leave = [], threading.Event(), threading.Event()

        @breaker
        def guarded():
            calls.append(threading.get_ident())
            if len(calls) == 1:
                raise ValueError("opens it")
            inside.set()
            leave.wait(30)

        self.assertRaises(ValueError, guarded)
        clock.now = 1
        trial = threading.Thread(target=guarded)
        trial.start()
        self.assertTrue(inside.wait(30))
        self.assertEqual(breaker.state, "half-open")
        for _ in range(10):
            with self.assertRaisesRegex(CircuitOpenError, "a trial is under way"):
                guarded()
        leave.set()
        trial.join()
        self.assertEqual((len(calls), breaker.state), (2, "closed"))

    def test_what_started_before_the_breaker_opened_does_not_close_it(self):
        breaker = CircuitBreaker(threshold=1)
        inside, leave = threading.Event(), threading.Event()

        @breaker
        def slow():
            inside.set()
            leave.wait(30)

        thread = threading.Thread(target=slow)
        thread.start()
        self.assertTrue(inside.wait(30))
        self.assertRaises(TimeoutError, breaker(fails()))
        leave.set()
        thread.join()
        self.assertEqual(breaker.state, "open")

    def test_figures_of_many_threads_add_up(self):
        def work(n):
            if n % 4 == 0 and not seen.setdefault(threading.get_ident(), set()) & {n}:
                seen[threading.get_ident()].add(n)
                raise TimeoutError
            return n

        seen = {}
        guarded = retry(RetryPolicy(initial_backoff=0))(work)
        results = []
        threads = [threading.Thread(target=lambda: results.extend(guarded(n) for n in range(2000)))
                   for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        told = guarded.metrics()
        self.assertEqual(len(results), 8000)
        self.assertEqual((told["num-buffers"], told["num-calls"], told["num-errors"], told["num-retries"]),
                         (8000, 10000, 2000, 2000))


class Interrupted(unittest.TestCase):
    def test_ctrl_c_ends_a_wait_at_once(self):
        waiting, raised = threading.Event(), threading.Event()

        def on_event(event):
            waiting.set()

        def raise_once(*_):
            if not raised.is_set():
                raised.set()
                raise KeyboardInterrupt

        def interrupt():
            waiting.wait(30)
            # One that comes after the interpreter's last look and before it sleeps is seen when it wakes up.
            while not raised.wait(0.05):
                signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

        thread = threading.Thread(target=interrupt)
        guarded = retry(RetryPolicy(initial_backoff=600, max_backoff=600), on_event=on_event)(fails())
        before = signal.signal(signal.SIGINT, raise_once)
        thread.start()
        try:
            self.assertRaises(KeyboardInterrupt, guarded)
        finally:
            raised.set()
            thread.join()
            signal.signal(signal.SIGINT, before)
        told = guarded.metrics()
        self.assertEqual((told["num-calls"], told["num-retries"], told["num-buffers"]), (1, 1, 0))

    def test_what_a_wait_raises_ends_the_attempts(self):
        class Stop(Exception):
            pass

        def sleep(seconds):
            raise Stop

        self.assertRaises(Stop, retry(sleep=sleep)(fails()))

    def test_a_cancelled_task_ends_its_wait_at_once(self):
        async def run():
            waiting = asyncio.Event()

            @retry(RetryPolicy(initial_backoff=600, max_backoff=600), on_event=lambda e: waiting.set())
            async def guarded():
                raise TimeoutError

            task = asyncio.ensure_future(guarded())
            await waiting.wait()
            task.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await task
            return guarded.metrics()

        self.assertEqual(asyncio.run(run())["num-buffers"], 0)


class Async(unittest.TestCase):
    def test_async_functions_are_awaited_and_waits_let_others_run(self):
        async def run():
            ran = []
            flaky = Flaky(TimeoutError(), TimeoutError())

            @retry(RetryPolicy(initial_backoff=0.01, max_backoff=0.01))
            async def guarded(n):
                await asyncio.sleep(0)
                flaky()
                return n

            async def other():
                while not done.is_set():
                    ran.append(1)
                    await asyncio.sleep(0)

            done = asyncio.Event()
            task = asyncio.ensure_future(other())
            result = await guarded(7)
            done.set()
            await task
            return result, len(ran), guarded.metrics()["num-calls"]

        result, ran, calls = asyncio.run(run())
        self.assertEqual((result, calls), (7, 3))
        self.assertGreater(ran, 3)

    def test_a_sleep_of_ones_own_is_awaited_where_it_can_be(self):
        waits = []

        async def sleep(seconds):
            waits.append(seconds)

        async def run(sleep):
            flaky = Flaky(TimeoutError())

            @retry(sleep=sleep)
            async def guarded():
                flaky()

            await guarded()

        asyncio.run(run(sleep))
        asyncio.run(run(waits.append))
        self.assertEqual(waits, [0.1, 0.1])

    def test_a_breaker_on_async_functions_and_blocks(self):
        async def run():
            breaker = CircuitBreaker(threshold=2)

            @breaker
            async def guarded():
                raise ValueError

            with self.assertRaises(ValueError):
                await guarded()
            with self.assertRaises(KeyError):
                async with breaker:
                    raise KeyError
            with self.assertRaises(CircuitOpenError):
                async with breaker:
                    pass
            with self.assertRaises(CircuitOpenError):
                await guarded()

        asyncio.run(run())

    def test_tasks_in_one_breaker_do_not_end_each_others_blocks(self):
        async def run():
            clock = Clock()
            breaker = CircuitBreaker(threshold=1, cooldown=1, clock=clock)
            first_in, trial_in, first_out = asyncio.Event(), asyncio.Event(), asyncio.Event()

            async def first():
                async with breaker:
                    first_in.set()
                    await trial_in.wait()
                first_out.set()

            async def trial():
                await first_in.wait()
                with self.assertRaises(TimeoutError):
                    breaker(fails())()
                clock.now = 1
                async with breaker:
                    trial_in.set()
                    await first_out.wait()
                    return breaker.state

            _, during = await asyncio.gather(first(), trial())
            return during, breaker.state

        # What the first one's success says is older than the failure that opened it.
        self.assertEqual(asyncio.run(run()), ("half-open", "closed"))

    def test_blocks_in_async_code(self):
        async def run():
            numbers = []
            async for attempt in retry(RetryPolicy(initial_backoff=0.001)):
                with attempt:
                    numbers.append(attempt.number)
                    if attempt.number < 3:
                        raise TimeoutError
            return numbers

        self.assertEqual(asyncio.run(run()), [1, 2, 3])


class Blocks(unittest.TestCase):
    def test_a_block_is_tried_again_until_it_does_not_raise(self):
        clock, numbers = Clock(), []
        tries = retry(sleep=clock.sleep)
        for attempt in tries:
            with attempt:
                numbers.append(attempt.number)
                if attempt.number < 3:
                    raise TimeoutError
        self.assertEqual((numbers, clock.waits), ([1, 2, 3], [0.1, 0.2]))
        told = tries.metrics()
        self.assertEqual((told["num-buffers"], told["num-calls"], told["num-errors"]), (1, 3, 2))

    def test_the_last_failure_leaves_the_loop(self):
        tries = retry(RetryPolicy(max_retries=1), sleep=lambda s: None)
        with self.assertRaises(TimeoutError) as caught:
            for attempt in tries:
                with attempt:
                    raise TimeoutError(str(attempt.number))
        self.assertEqual((str(caught.exception), caught.exception.retry_info.attempts), ("2", 2))

    def test_break_is_a_success(self):
        for attempt in retry():
            with attempt:
                break
        self.assertEqual(attempt.number, 1)

    def test_a_loop_without_with_says_what_is_missing(self):
        with self.assertRaisesRegex(RuntimeError, "with attempt:"):
            for attempt in retry():
                pass


class Figures(unittest.TestCase):
    def test_the_fields_are_those_of_the_elements_message(self):
        breaker = CircuitBreaker()
        guarded = retry(breaker=breaker, name="ask", sleep=lambda s: None)(Flaky(TimeoutError("slow")))
        guarded()
        told = guarded.metrics()
        read = Metrics.from_fields(told)
        self.assertEqual(read.extra, {}, "all are known")
        # A function lies in no bin.
        self.assertEqual(read.to_fields(), {**told, "path": "ask"})
        self.assertEqual((read.element, read.factory, read.status), ("ask", "python-function", "degraded"))
        self.assertEqual((read.num_buffers, read.num_calls, read.num_errors, read.num_retries), (1, 2, 1, 1))
        self.assertEqual((read.last_error, read.breaker_state), ("TimeoutError: slow", "closed"))
        self.assertEqual((read.timestamp, read.real_time_factor, read.final), (None, 0.0, False))
        self.assertGreater(read.process_peak_rss, 1 << 20)
        json.dumps(told)

    def test_times_are_those_of_calls_and_not_of_waits(self):
        def work():
            end = time.monotonic() + 0.02
            while time.monotonic() < end:
                pass
            flaky()

        flaky = Flaky(TimeoutError())
        guarded = retry(RetryPolicy(initial_backoff=0.5))(work)
        start = time.monotonic()
        guarded()
        took = (time.monotonic() - start) * 1e9
        told = guarded.metrics()
        self.assertGreaterEqual(told["processing-time"], 0.0399e9)
        self.assertLessEqual(told["processing-time"], took - 0.5e9)
        self.assertGreaterEqual(told["call-time-p50"], 0.0195e9)
        self.assertNotIn("breaker-state", told)
        self.assertNotIn("gil-wait", told)

    def test_the_document_and_prometheus_take_them(self):
        guarded = retry(name="ask", breaker=CircuitBreaker())(Flaky())
        guarded()
        document = pipeline_document([guarded.metrics()], 1_000_000, "server")
        [node] = document["pipeline_execution"]["nodes"]
        self.assertEqual((node["id"], node["type"], node["calls"], node["breaker_state"]),
                         ("ask", "python-function", 1, "closed"))
        self.assertEqual(
            pipeline_document([Metrics.from_fields(guarded.metrics())], 1_000_000, "server")
            ["pipeline_execution"]["nodes"], [node])
        from prometheus_client import generate_latest

        from gstrustaudio.exporter import Exporter

        exporter = Exporter()
        failing = retry(RetryPolicy(max_retries=0), breaker=CircuitBreaker(threshold=1), name="tell",
                        on_event=exporter.add)(fails())
        self.assertRaises(TimeoutError, failing)
        exporter.add(Metrics.from_fields(failing.metrics()))
        text = generate_latest(exporter.registry).decode()
        self.assertIn('rustaudio_calls_total{element="tell",factory="python-function",pipeline=""} 1.0', text)
        self.assertIn('rustaudio_node_failures_total{action="raise",element="tell",exception="TimeoutError"', text)
        self.assertIn('rustaudio_breaker_changes_total{element="tell",pipeline="",state="open"} 1.0', text)

    def test_events_tell_of_each_failure_and_change(self):
        clock, events = Clock(), []
        breaker = CircuitBreaker(threshold=1, cooldown=1, clock=clock)
        flaky = Flaky(TimeoutError("slow"), ValueError("odd"))
        guarded = retry(breaker=breaker, name="ask", on_event=events.append, clock=clock,
                        sleep=lambda s: None)(flaky)
        self.assertRaises(ValueError, guarded)
        clock.now = 1
        guarded()
        failures = [e for e in events if isinstance(e, NodeFailure)]
        self.assertEqual([(f.element, f.attempt, f.max_attempts, f.retryable, f.exception, f.message, f.action)
                          for f in failures],
                         [("ask", 1, 4, True, "TimeoutError", "slow", "retry"),
                          ("ask", 2, 4, False, "ValueError", "odd", "raise")])
        self.assertEqual(failures[0].file, __file__)
        self.assertIn("TimeoutError: slow", failures[0].traceback)
        self.assertNotIn("gstrustaudio", failures[0].traceback)
        changes = [(e.previous, e.state, e.consecutive_failures) for e in events if isinstance(e, BreakerChange)]
        self.assertEqual(changes, [("closed", "open", 1), ("open", "half-open", 1), ("half-open", "closed", 0)])

    def test_each_function_has_figures_of_its_own(self):
        decorator = retry()
        one, two = decorator(Flaky()), decorator(Flaky())
        one()
        self.assertEqual((one.metrics()["num-buffers"], two.metrics()["num-buffers"]), (1, 0))


class Forms(unittest.TestCase):
    def test_the_bare_decorator_and_methods(self):
        class Client:
            @retry
            def ask(self, question):
                """Asks."""
                return self, question

            @staticmethod
            @retry()
            def static(x):
                return x

            @classmethod
            @retry()
            def of_class(cls, x):
                return cls, x

        client = Client()
        self.assertEqual(client.ask("who?"), (client, "who?"))
        self.assertEqual(Client.static(1), 1)
        self.assertEqual(Client.of_class(2), (Client, 2))
        self.assertEqual((Client.ask.__name__, Client.ask.__doc__), ("ask", "Asks."))
        self.assertEqual(Client.ask.metrics()["element"], f"{Client.__qualname__}.ask")

    def test_what_cannot_be_is_said(self):
        def generator():
            yield 1

        for call, kind, text in [
            (lambda: RetryPolicy(max_retries=-1), ValueError, "max_retries: expected 0 to 4294967294, got -1"),
            (lambda: RetryPolicy(max_retries=1.5), TypeError, "max_retries: expected an int, got 1.5"),
            (lambda: RetryPolicy(initial_backoff=-1), ValueError, "initial_backoff: expected"),
            (lambda: RetryPolicy(initial_backoff="1"), TypeError, "initial_backoff: expected a number, got '1'"),
            (lambda: RetryPolicy(backoff_multiplier=0.5), ValueError, "backoff_multiplier: expected a number from 1"),
            (lambda: RetryPolicy(backoff_jitter=1.5), ValueError, "backoff_jitter: expected a number from 0 to 1"),
            (lambda: RetryPolicy(backoff_jitter=-0.1), ValueError, "backoff_jitter: expected a number from 0"),
            (lambda: RetryPolicy(max_backoff=float("nan")), ValueError, "max_backoff"),
            (lambda: RetryPolicy(deadline=float("inf")), ValueError, "deadline"),
            (lambda: RetryPolicy(retry_on=[]), ValueError, "retry_on: names no exception"),
            (lambda: RetryPolicy(retry_on=3), TypeError, "retry_on"),
            (lambda: RetryPolicy(retry_on=int), TypeError, "retry_on: expected names or classes of exceptions"),
            (lambda: RetryPolicy(retry_on="not a name"), ValueError, "'not a name' is no name of a class"),
            (lambda: CircuitBreaker(-1), ValueError, "threshold: expected 0 to 4294967295, got -1"),
            (lambda: RetryPolicy(max_retries=2**32), ValueError, "max_retries: expected 0 to 4294967294, got 4294967296"),
            (lambda: CircuitBreaker(True), TypeError, "threshold: expected an int"),
            (lambda: CircuitBreaker(cooldown=-1), ValueError, "cooldown"),
            (lambda: retry(3), TypeError, "policy: expected a RetryPolicy, got 3"),
            (lambda: retry(breaker=3), TypeError, "breaker: expected a CircuitBreaker, got 3"),
            (lambda: retry()(3), TypeError, "expected a function, got 3"),
            (lambda: retry()(generator), TypeError, "generator is a generator"),
        ]:
            with self.subTest(text=text), self.assertRaises(kind) as caught:
                call()
            self.assertIn(text, str(caught.exception))

    def test_examples_in_the_documentation(self):
        found = [doctest.testmod(sys.modules[resilience.__name__ + part]) for part in ("", ".breaker", ".retries")]
        self.assertEqual([result.failed for result in found], [0, 0, 0])
        self.assertTrue(all(result.attempted > 4 for result in found), found)


if __name__ == "__main__":
    unittest.main()
