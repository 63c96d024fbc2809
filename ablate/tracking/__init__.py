"""Weights & Biases as one more reader of records: what is shown there is read from a run's folder, never told to it.

The training process imports no wandb and waits for no server. It starts a process of its own (`follower`), which reads
`metrics.jsonl` as it grows (`reader`) and sends what it finds (`session`). A record can be sent in the same way years
later (`ablate sync`).
"""
