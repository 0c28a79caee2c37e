"""`python -m unittest discover xtask/src` runs these tests."""

from unittest import TestCase, mock

import environment
import xtask


def names(steps):
    return [step.name for step in steps]


class Steps(TestCase):
    def test_a_name_selects_every_step_that_contains_it(self):
        steps = xtask.steps_of("test")
        self.assertEqual(names(xtask.select(steps, ["smol", "rust"])), ["rust", "python-smol"])
        self.assertEqual(xtask.select(steps, []), steps)
        self.assertGreater(len(xtask.steps_of("test", thorough=True)), len(steps))

    def test_an_unknown_name_is_an_error_that_lists_the_names(self):
        with self.assertRaisesRegex(SystemExit, "no step has `go` in its name; there are xtask, models, rust, "):
            xtask.select(xtask.steps_of("test"), ["rust", "go"])

    def test_a_word_chooses_among_the_programs_of_a_command(self):
        def chosen(command, *arguments):
            program, rest = xtask.choose_program(command, list(arguments))
            return program and program.name, rest

        self.assertEqual(chosen("bench"), ("=", []))
        self.assertEqual(chosen("bench", "--quick"), ("=", ["--quick"]))
        self.assertEqual(chosen("bench", "serve", "--quick"), ("=serve", ["--quick"]))
        self.assertEqual(chosen("test", "serve"), (None, ["serve"]))

    def test_what_a_build_needs_is_built_before_it(self):
        (stubs,) = xtask.select(xtask.steps_of("test"), ["stubs"])
        self.assertEqual(names(stubs.builds), ["module", "stubs"])
        self.assertIn("tools", stubs.needs)


class Lines(TestCase):
    def test_a_line_begins_with_its_variables(self):
        python = mock.Mock(variables={"PATH": ""})
        command, env = environment.Environment.command(python, "RUSTFLAGS=--cfg=loom A= cargo test --config x=y")
        self.assertEqual(command, ["cargo", "test", "--config", "x=y"])
        self.assertEqual((env["RUSTFLAGS"], env["A"]), ("--cfg=loom", ""))
