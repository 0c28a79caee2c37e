"""The matches, which are the same in every way to search."""

import asyncio

import pytest
from support import WAYS, by_callbacks, plant, until

import scan
import scan.threads


async def found_by(way, scanning):
    found = []
    await way(scanning, found)
    return sorted(found), scanning.progress


@pytest.mark.parametrize(
    "pattern",
    [
        "needle",
        r"\bneedle\b",
        r"(?i)NEEDLE",
        r"\w+\s+needle",
        r"(?s)begin.end",
        r"(?m)^\s*needle$",
        r"n(e+)(d|x)le?",
        r"[^\x00-\x7f]+",
        r".",
        "β",
    ],
)
@pytest.mark.parametrize("options", [{}, {"suffix": ".txt", "skip": {"skipped"}, "concurrency": 1}])
@pytest.mark.parametrize("way", WAYS)
def test_rust_finds_what_python_finds(run, tree, pattern, options, way):
    async def main():
        rust = await found_by(way, scan.scan(tree, pattern, **options))
        return rust, await found_by(by_callbacks, scan.threads.Scan(tree, pattern, **options))

    (in_rust, rust), (in_python, python) = run(main())
    assert in_rust and in_rust == in_python
    assert rust.files_found == rust.files_done == python.files_found == python.files_done
    assert rust.matches == len(in_rust)
    assert sorted(rust.undecodable) == sorted(python.undecodable)
    assert {path.name for path in rust.undecodable} == {"binary.txt", "latin_1.txt"}
    assert rust.unreadable == []


def test_a_match_has_its_position(run, tmp_path):
    plant(tmp_path, {"file": b"one\n  caf\xe9 two three\r\n"})

    (match,) = run(scan.matches_in(tmp_path / "file", "two"))

    assert match == scan.Match(tmp_path / "file", 2, 11, 14, "  caf\N{REPLACEMENT CHARACTER} two three")
    assert (match.path, match.line, match.start, match.end) == (tmp_path / "file", 2, 11, 14)
    assert repr(match) == f"<Match {tmp_path / 'file'}:2: {match.text}>"


def test_matches_in_finds_the_matches_that_a_scan_finds(run, tree):
    async def main():
        found, _ = await found_by(by_callbacks, scan.scan(tree / "deep" / "er", "needle"))
        assert await scan.matches_in(tree / "deep" / "er" / "still.txt", "needle") == found
        assert len(found) == 300

    run(main())


def test_an_unreadable_file_raises_the_error_that_open_raises(run, tmp_path):
    with pytest.raises(FileNotFoundError) as raised:
        run(scan.matches_in(tmp_path / "missing", "needle"))
    with pytest.raises(FileNotFoundError) as expected:
        open(str(tmp_path / "missing"))
    assert str(raised.value) == str(expected.value)


def test_a_scan_does_not_run_before_it_is_awaited(run, tmp_path):
    # No loop runs yet.
    scanning = scan.scan(tmp_path / "later", "needle")
    plant(tmp_path / "later", {"file": b"needle"})
    found, progress = run(found_by(by_callbacks, scanning))
    assert (len(found), progress.files_done) == (1, 1)
    assert repr(scanning) == f'<Scan of {tmp_path / "later"} for "needle">'


def test_a_bad_pattern_raises_value_error_that_shows_the_pattern(tmp_path):
    for call in (scan.scan, scan.matches_in):
        with pytest.raises(ValueError, match=r"cannot search for \"\(needle\"(.|\n)*unclosed group"):
            call(tmp_path, "(needle")
        with pytest.raises(TypeError):
            call(tmp_path, b"needle")


def test_a_concurrency_of_zero_raises_value_error(tmp_path):
    with pytest.raises(ValueError, match="concurrency is 0"):
        scan.scan(tmp_path, "needle", concurrency=0)


@pytest.mark.parametrize("way", WAYS)
def test_awaiting_a_scan_of_an_unlistable_root_raises_the_error_of_the_system(run, tmp_path, way):
    plant(tmp_path, {"file": b""})

    async def main():
        for name, error in (("missing", FileNotFoundError), ("file", NotADirectoryError)):
            with pytest.raises(error) as raised:
                await way(scan.scan(tmp_path / name, "needle"), [])
            assert raised.value.filename == str(tmp_path / name)

    run(main())


def test_the_block_is_not_entered_if_the_root_cannot_be_listed(run, tmp_path):
    async def main():
        entered = False
        with pytest.raises(FileNotFoundError):
            async with scan.scan(tmp_path / "missing", "needle"):
                entered = True
        assert not entered

    run(main())
