"""Shows runs on Weights & Biases. Everything that is sent is read from the runs' records.

The training process neither imports wandb nor waits for a server. It starts a second process (`follower`) that reads
`metrics.jsonl` as it grows (`reader`) and sends it (`session`). `ablate sync` sends a record later in the same way.
"""
