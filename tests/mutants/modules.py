"""Which tests each module is tried with: the fastest first, because the first failure ends a mutant."""

MODULES = {
    f"ablate/{module}.py": tuple(f"tests/{test}.py" for test in tests.split())
    for module, tests in {
        "models/build": "models/test_build models/test_resnet",
        "models/cost": "models/test_cost",
        "models/generators": "training/test_checkpoint models/test_resnet training/test_loop",
        "models/resnet": "models/test_resnet models/test_build models/test_cost models/test_family",
        "models/shortcuts": "models/test_shortcuts models/test_build",
        "models/units": "models/test_units models/test_resnet models/test_build models/test_family",
        "training/schedule": "training/test_schedule",
        "training/sgd": "training/test_sgd training/test_step",
        "training/step": "training/test_loop training/test_step",
        "training/evaluate": "training/test_evaluate training/test_loop",
        "training/loop": "training/test_loop training/test_step",
        "training/checkpoint": "training/test_checkpoint",
        "training/device": "training/test_device training/test_step",
        "training/graph": "training/test_graph",
        "training/recompute": "training/test_recompute",
        "training/setup": "training/test_graph training/test_step training/test_loop",
        "data/augment": "data/test_augment",
        "data/batches": "data/test_batches",
        "data/dataset": "data/test_dataset data/test_batches",
        "data/digits": "data/test_digits",
        "data/facts": "data/test_facts",
        "data/load": "data/test_dataset data/test_folder data/test_cifar",
        "data/cifar": "data/test_cifar",
        "data/folder": "data/test_folder",
        "report/stats": "report/test_stats",
        "report/published": "report/test_papers report/test_comparison",
        "report/papers": "report/test_papers",
        "runs/identity": "runs/test_identity",
        "runs/lock": "runs/test_lock",
    }.items()
}
