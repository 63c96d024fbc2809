"""The functions of `import ablate`."""

import threading
import time

import ablate


def test_runs_in_threads_follow_one_another(monkeypatch, tmp_path):
    training, most = [], []

    def train(record, *_):
        training.append(record)
        most.append(len(training))
        time.sleep(0.05)
        training.remove(record)

    monkeypatch.setattr("ablate.runs.run.run", train)
    monkeypatch.setattr("ablate.runs.reading.read_run", lambda folder: folder)
    words = ("depth=8", f"results={tmp_path}")
    threads = [threading.Thread(target=ablate.run, args=(*words, f"seed={seed}")) for seed in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1, 1, 1]
