"""Celery's prefork pool: the parent uses Rust, and its children do."""

import os
import signal
import subprocess
import sys

PATIENCE = 120

APPLICATION = """
import asyncio, os, pathlib
import celery
import recipes

here = pathlib.Path(__file__).parent
app = celery.Celery("application", broker="filesystem://", backend=f"file://{here / 'results'}")
folders = {"data_folder_in": "queue", "data_folder_out": "queue", "control_folder": "control"}
app.conf.broker_transport_options = {option: str(here / folder) for option, folder in folders.items()}
app.conf.update(worker_hijack_root_logger=False, broker_connection_retry_on_startup=True)

# In the parent, before the pool forks. Its runtime stays there.
asyncio.run(recipes.sleep(0.001))

@app.task
def work(number):
    # A loop for each task: that of the parent stays in the parent.
    asyncio.run(recipes.sleep(0.001))
    return number, os.getpid(), os.getppid()
"""


def test_the_processes_of_a_prefork_pool_can_use_rust(tmp_path, monkeypatch):
    for folder in ["control", "queue", "results"]:
        (tmp_path / folder).mkdir()
    (tmp_path / "application.py").write_text(APPLICATION)
    monkeypatch.syspath_prepend(tmp_path)
    from application import work

    command = [sys.executable, "-m", "celery", "--app", "application", "--workdir", str(tmp_path), "--quiet", "worker"]
    command += ["--pool", "prefork", "--concurrency", "2", "--without-gossip", "--without-mingle", "--loglevel", "ERROR"]
    environment = {**os.environ, "C_FORCE_ROOT": "1", "PYTHONWARNINGS": "ignore"}
    worker = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        results = [work.delay(number) for number in range(20)]
        done = [result.get(timeout=PATIENCE, interval=0.05) for result in results]
        assert [number for number, *_ in done] == list(range(20))
        assert {parent for *_, parent in done} == {worker.pid}
    finally:
        worker.send_signal(signal.SIGTERM)
        printed, _ = worker.communicate(timeout=PATIENCE)
    assert worker.returncode == 0, printed
