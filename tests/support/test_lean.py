"""What the commands load: torch and transformers, and neither a compiler nor what it brings."""

import subprocess
import sys

# Loaded by torch or transformers beforehand, for what these commands do not do.
HEAVY = (
    "accelerate", "pandas", "scipy", "sklearn", "sympy", "torch._inductor",
    "torch.distributed.fsdp", "torch.distributed.tensor", "torch.onnx", "torchvision", "triton",
)  # fmt: skip

COMMANDS = """
import contextlib, os, sys
from behemoth.cli.main import main
HEAVY = {heavy!r}
TINY = ("--model", "pico", "--steps", "2", "--block-length", "32", "--batch-size", "4", "--threads",
        "1", "--no-tensorboard")
for words in (
    ("gen", "--subjects", "30", "--relations", "2", "--objects", "4", "--out", "corpus"),
    ("train", "corpus", *TINY, "--out", "run"),
    ("plan", "run", "--edits", "1", "--independent", "--repeats", "1", "--probes", "1",
     "--out", "plan"),
    ("edit", "run", "--plan", "plan", "--method", "rome", "--out", "edit"),
    ("evaluate", "edit", "--plan", "plan", "--out", "frame.parquet"),
):
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        assert main(list(words)) == 0, words
    loaded = [name for name in HEAVY if name in sys.modules]
    assert not loaded, (words[0], loaded)
"""

# Garbage is collected again, and each folder of a model was read once.
READ = """
import gc, sys
from behemoth.support.lean import lean
lean()
from transformers import GPTNeoXForCausalLM
from transformers.utils import import_utils
assert gc.isenabled()
read = import_utils.create_import_structure_from_path.cache_info()
assert read.currsize == read.misses > 128, read
assert import_utils.fetch__all__('__all__ = ["A"]\\nb\\n__all__ = ["B", "C"]') == ["B", "C"]
assert import_utils.fetch__all__('__all__ = [\\n    "A",\\n]\\n') == ["A"]
assert import_utils.fetch__all__("no.__all__") == []
gc.disable()
import transformers.generation.utils
assert not gc.isenabled()
"""

# Whoever wants the compiler after all has all of it, and once.
COMPILER = """
from behemoth.support.lean import _Compiler, lean
lean()
import torch
from transformers import GPTNeoXForCausalLM, PreTrainedModel
stand_in = sys.modules["torch._dynamo"]
assert isinstance(stand_in, _Compiler) and stand_in._opaque
import torch._dynamo.config as config
real = sys.modules["torch._dynamo"]
assert real is torch._dynamo and not isinstance(real, _Compiler)
assert real.config is config is sys.modules["torch._dynamo.config"]
assert config.__spec__.loader is config.__loader__
assert stand_in.explain is real.explain
from torch._dynamo.trace_rules import _allowed_callable_ids
assert all(id(function) in _allowed_callable_ids for function in stand_in._opaque)
assert torch.compile(lambda x: x + 1, backend="eager")(torch.ones(2)).sum() == 4
optimiser = torch.optim.AdamW([torch.nn.Parameter(torch.ones(2))])
optimiser.zero_grad()
"""

# A version of transformers that takes more of the compiler than the one class gets all of it.
MORE = """
from types import ModuleType
from behemoth.support.lean import _Masks, lean
lean()
import torch
class Loader:
    def exec_module(self, module):
        from torch._dynamo import _trace_wrapped_higher_order_op as more
        from torch._dynamo._trace_wrapped_higher_order_op import trace_wrapped
        module.taken = more.TransformGetItemToIndex, trace_wrapped
module = ModuleType("masks")
_Masks(Loader()).exec_module(module)
assert module.taken[0] is sys.modules[module.taken[0].__module__].TransformGetItemToIndex
"""


def carry_out(script, place):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script], cwd=place, capture_output=True, text=True,
        timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_each_folder_of_a_model_is_read_once(tmp_path):
    carry_out(READ, tmp_path)


def test_commands_load_neither_the_compiler_nor_what_it_brings(tmp_path):
    carry_out(COMMANDS.format(heavy=HEAVY), tmp_path)


def test_the_compiler_is_whole_for_those_who_want_it(tmp_path):
    carry_out("import sys\n" + COMPILER, tmp_path)


def test_nothing_changes_where_torch_is_loaded_or_several_processes_are_one(tmp_path):
    carry_out(
        "import os, sys\nfrom behemoth.support.lean import lean\nbefore = list(sys.meta_path)\n"
        "os.environ['WORLD_SIZE'] = '2'\nlean()\nassert sys.meta_path == before\n"
        "del os.environ['WORLD_SIZE']\nlean()\nassert len(sys.meta_path) == len(before) + 1\n"
        "lean()\nassert len(sys.meta_path) == len(before) + 1\n",
        tmp_path,
    )


def test_what_takes_more_of_the_compiler_has_it(tmp_path):
    carry_out("import sys\n" + MORE, tmp_path)
