"""What the tests share: a command line that runs in this process, and small corpora.

Pytest finds fixtures of several folders here alone, so that this file is longer than others.
"""

from __future__ import annotations

import json
import logging
import os
import runpy
import signal
import subprocess
import sys
import urllib.request
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace

import pytest

from behemoth import Corpus, World
from behemoth.cli.main import main

# Models of tests are so small that a second thread only waits for the first, and on a machine that
# does other work for longer than it works. Set before torch is imported, and inherited.
os.environ.setdefault("OMP_NUM_THREADS", "1")

SKIPPED = pytest.StashKey[list]()


def pytest_addoption(parser):
    parser.addoption(
        "--perturb",
        type=int,
        metavar="SEED",
        help="round as another processor might (tests/perturbation.py)",
    )
    parser.addoption(
        "--no-skips", action="store_true", help="a skipped test fails the run, as in .ci/run"
    )
    parser.addoption(
        "--no-skips-at-all", action="store_true", help="the same where all that tests need is there"
    )


# Why a test may be skipped where all must run; the names of such tests say what they need.
NEEDED = ("ray", "lm_eval", "litdata", "datatrove", "megatron.core", "gcsfs", "easyeditor",
          "open-unlearning")  # fmt: skip
MAY_SKIP = {name: f"could not import '{name}'" for name in NEEDED} | {"gpu": "no CUDA device"}


def pytest_configure(config):
    import hypothesis

    # An example may take as long as it does: a machine that does other work pauses one at times.
    hypothesis.settings.register_profile("behemoth", deadline=None)
    hypothesis.settings.load_profile("behemoth")
    # Started with SIGINT ignored (`nohup make test &`), the suite would hand that down to the
    # processes whose Ctrl-C it tests. A handler of one's own is not handed down.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_sessionfinish(session, exitstatus):
    """With --no-skips, a skip for another reason than those of `MAY_SKIP` fails the run.

    With --no-skips-at-all, every skip does. What is let off is named, as no change has to pass it.
    """
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    none = session.config.getoption("--no-skips-at-all")
    if not (none or session.config.getoption("--no-skips")) or reporter is None:
        return
    session.config.stash[SKIPPED] = skipped = [
        (report.nodeid, reason, not none and any(text in reason for text in MAY_SKIP.values()))
        for report in reporter.stats.get("skipped", ())
        for reason in report.longrepr[2:]
    ]
    if not all(may for _, _, may in skipped) and exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter, config):
    for name, reason, may in config.stash.get(SKIPPED, ()):
        said = f"skipped, which --no-skips {'allows' if may else 'forbids'}: {name} ({reason})"
        terminalreporter.line(said, yellow=may, red=not may)


def pytest_collection_modifyitems(config, items):
    if config.getoption("--perturb") is not None:
        exact = [item for item in items if item.get_closest_marker("exact")]
        config.hook.pytest_deselected(items=exact)
        items[:] = [item for item in items if item not in exact]


@pytest.fixture(autouse=True)
def tying():
    """A test that leaves transformers unable to tie weights fails, and not those after it.

    transformers replaces `tie_weights` of all models while it loads one, and two threads that load
    at once leave it so: see `behemoth.model.alone`.
    """
    before = _tie_weights()
    yield
    after = _tie_weights()
    if after is None or after.__name__ == "tie_weights":
        return
    if before is not None:
        sys.modules["transformers.modeling_utils"].PreTrainedModel.tie_weights = before
    pytest.fail(f"transformers ties no weights any more, but calls {after}")


def _tie_weights():
    module = sys.modules.get("transformers.modeling_utils")
    return None if module is None else module.PreTrainedModel.tie_weights


@pytest.fixture(autouse=True)
def perturbed(request):
    """With --perturb, the arithmetic of torch within the test is moved by its last bits."""
    seed = request.config.getoption("--perturb")
    if seed is None:
        yield
        return
    mode = runpy.run_path(str(Path(__file__).with_name("perturbation.py")))["Perturbed"]
    with mode(seed):
        yield


@dataclass(frozen=True)
class Ran:
    """A command that ran: its exit code and what it wrote."""

    code: int
    out: str
    err: str

    def json(self):
        """The one JSON object on stdout."""
        assert self.code == 0, self.err
        assert self.out.count("\n") == 1, self.out
        return json.loads(self.out)

    def refused(self, code=2):
        """The one line of an error."""
        assert self.code == code, (self.code, self.err)
        assert self.err.count("\n") == 1, self.err
        assert self.err.startswith("behemoth: error: "), self.err
        assert self.out == ""
        return self.err.removeprefix("behemoth: error: ").rstrip("\n")


@pytest.fixture
def never():
    """A function to put in place of one that must not be called."""

    def never(*_, **__):
        pytest.fail("called, and must not be")

    return never


@pytest.fixture
def run(capsys):
    """Run the command line in this process: run("gen", "--out", path) -> Ran."""

    def run(*words):
        capsys.readouterr()
        code = main([str(word) for word in words])
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return run


@pytest.fixture(scope="session")
def command():
    """The command line as a process of its own: a list to put before its words."""
    return [
        sys.executable,
        "-c",
        "import sys; from behemoth.cli.main import main; sys.exit(main())",
    ]


@pytest.fixture(scope="session")
def spawn(command):
    """Start the command line as a process: spawn("gen", ...) -> subprocess.Popen."""

    def spawn(*words):
        return subprocess.Popen(
            [*command, *map(str, words)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"COLUMNS": "200"},
        )

    return spawn


@pytest.fixture(scope="session")
def on_nodes():
    """Run a command on a Ray cluster of two nodes: on_nodes(task, "gen", ...) -> Ran.

    The second node is killed at the first task of that name; none with None.
    """
    pytest.importorskip("ray")

    def on_nodes(task, *words):
        script = Path(__file__).with_name("nodes.py")
        command = [sys.executable, script, task or "-", *words]
        done = subprocess.run(
            [*map(str, command)], capture_output=True, text=True, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        nodes = f"{1 if task else 2} nodes at the end"
        assert nodes in done.stderr, done.stderr
        return Ran(done.returncode, done.stdout, done.stderr)

    return on_nodes


@pytest.fixture(scope="session")
def contents():
    """Hashes of the files of a directory by name, without records of time."""

    def contents(directory, pattern="**/*"):
        return {
            str(path.relative_to(directory)): sha256(path.read_bytes()).hexdigest()
            for path in sorted(Path(directory).glob(pattern))
            if path.is_file()
        }

    return contents


@pytest.fixture(scope="session")
def peaks():
    """Whether the system says what a process took of memory at most, as Linux does."""
    status = Path("/proc/self/status")
    return status.exists() and "VmHWM:" in status.read_text()


# Not `ru_maxrss`, which begins with the peak of the process that started this one.
PEAK = """
def peak():
    import re
    from pathlib import Path
    return 1024 * int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""


@pytest.fixture(scope="session")
def measure(peaks):
    """Run a script that may call `peak`, in a process of its own: measure(script, *words) -> ints.

    `peak` is what the process itself took at most so far, in bytes.
    """
    if not peaks:
        pytest.skip("the system does not say what a process took at most")

    def measure(script, *words):
        ran = subprocess.run(
            [sys.executable, "-c", PEAK + script, *map(str, words)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert ran.returncode == 0, ran.stderr
        return list(map(int, ran.stdout.split()))

    return measure


@pytest.fixture(scope="session")
def who():
    """What is said of another process that holds a lock, as a pattern."""
    return r"process \d+ on \S+" if Path("/proc/locks").exists() else "another process"


@pytest.fixture(scope="session")
def world():
    return World(subjects=60, relations=3, objects=12, seed=7)


@pytest.fixture(scope="session")
def corpus(world):
    return Corpus(world, exposures=4)


@pytest.fixture(scope="session")
def rich_corpus():
    """Every feature at once: kinds of relations, templates, questions, minority, wordings."""
    from behemoth import Composed, Correlated, Groups, Independent, OneToOne, Questions, Zipf

    world = World(
        subjects=80,
        relations=[
            Independent(24),
            Correlated(0, 0.7),
            Zipf(9, 1.2),
            OneToOne(),
            Composed(0, 6),
            Composed(4, 2),
        ],
        seed=3,
        minority=0.25,
    )
    return Corpus(
        world,
        exposures=Groups([1, 2, 4]),
        templates={"default": 1, "repeats": 1, "nonsense": 1},
        inversion=0.3,
        questions=Questions(0.5, 0.25),
        paraphrases=3,
        held_out=1,
        nonsense_words=50,
    )


@pytest.fixture(scope="module")
def compiled_once():
    """A grammar is compiled for a tokenizer once: it takes a second, and some make many corpora."""
    from behemoth.corpus.grammar import Text

    compiled, found = Text.lexicon.func, {}

    def lexicon(text):
        key = text.grammar.source, text.tokenizer and text.tokenizer.digest
        if key not in found:
            found[key] = compiled(text)
        return found[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Text, "lexicon", property(lexicon))
        yield


@pytest.fixture(scope="session")
def documents():
    """Cut tokens into documents: lists that end in the end-of-document token."""

    def documents(tokens):
        found, document = [], []
        for token in tokens.tolist():
            document.append(token)
            if token == 0:
                found.append(document)
                document = []
        assert not document
        return found

    return documents


@pytest.fixture
def graph(tmp_path):
    """A graph as the reference writes it: five columns, None for none."""
    path = tmp_path / "relationship_graph.txt"
    rows = [
        (
            subject,
            relation,
            (subject * 7 + relation) % 10,
            "None" if subject % 3 else (subject * 7 + relation + 1) % 10,
            "None",
        )
        for subject in range(20)
        for relation in range(2)
    ]
    path.write_text("".join(" ".join(map(str, row)) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run directory of 360 facts: random weights, as far as an edit can see."""
    random_run = runpy.run_path(str(Path(__file__).with_name("random_run.py")))["random_run"]
    place = tmp_path_factory.mktemp("runs") / "small"
    return random_run(place, Corpus(World(120, 3, 10), exposures=2), seed=5, weights=0)


@pytest.fixture
def few_facts(monkeypatch):
    """Runs ask at most 20 facts, for tests that do not look at recall."""

    def few(corpus, most=20):
        return corpus.sample_facts(min(most, 20))

    monkeypatch.setattr("behemoth.train.loop.probed_facts", few)


@pytest.fixture
def model():
    """Two blocks with random weights, the same each time."""
    import torch
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    torch.manual_seed(0)
    config = GPTNeoXConfig(
        vocab_size=40,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
        initializer_range=0.3,  # with the usual 0.02 no change of inner weights moves an answer
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=1,
    )
    return GPTNeoXForCausalLM(config).eval()


@pytest.fixture(scope="session")
def random_model():
    """Make a GPT-NeoX of a vocabulary, with weights large enough that every token matters."""

    import torch
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    def random_model(vocabulary):
        torch.manual_seed(0)
        config = GPTNeoXConfig(
            vocab_size=vocabulary,
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=64,
            max_position_embeddings=128,
            initializer_range=0.4,
            bos_token_id=0,
            eos_token_id=0,
            pad_token_id=1,
        )
        return GPTNeoXForCausalLM(config).eval()

    return random_model


@pytest.fixture(scope="session")
def bigrams():
    """Make a model from {name of a token: name of the one that follows}."""

    import torch

    class Bigrams(torch.nn.Module):
        """Says what it was told to say after a token; logits 5 for that, 0 for all the others."""

        def __init__(self, vocabulary, after):
            super().__init__()
            self.config = SimpleNamespace(vocab_size=vocabulary)
            self.table = torch.nn.Parameter(torch.zeros(vocabulary, vocabulary))
            with torch.no_grad():
                for token, following in after.items():
                    self.table[token, following] = 5.0

        def forward(self, input_ids, logits_to_keep=0, **others):
            kept = slice(None) if isinstance(logits_to_keep, int) else logits_to_keep
            return SimpleNamespace(logits=self.table[input_ids][:, kept])

    def bigrams(corpus, after, vocabulary=None):
        ids = {name: index for index, name in enumerate(corpus.token_names)}
        pairs = {ids[token]: ids.get(other, other) for token, other in after.items()}
        return Bigrams(vocabulary or corpus.vocabulary_size, pairs)

    return bigrams


@pytest.fixture(scope="session")
def endpoint():
    """The URL of moto's server, which keeps objects in the memory of this process."""
    server_module = pytest.importorskip("moto.server")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    # Each client of a test would read eight descriptions of services again, a fifth of its time.
    botocore = pytest.importorskip("botocore.session")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(botocore, "create_loader", lru_cache(botocore.create_loader))
        yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(endpoint, monkeypatch):
    """A file system of an empty server with the bucket ``corpora``."""
    import s3fs

    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    request = urllib.request.Request(f"{endpoint}/moto-api/reset", method="POST")
    urllib.request.urlopen(request).close()
    found = s3fs.S3FileSystem(use_listings_cache=False, skip_instance_cache=True)
    found.mkdir("corpora")
    return found


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Where copies of what is in stores are kept, for this test alone."""
    monkeypatch.setenv("BEHEMOTH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="session")
def same_as_adapter():
    """Compare the logits of a delta with those of its adapter, as PEFT loads it."""
    import torch

    def compare(model, delta, adapter, tokens, least):
        from peft import PeftModel

        tokens = torch.tensor([tokens])
        with torch.no_grad():
            plain = model(input_ids=tokens).logits
            with delta.apply(model):
                edited = model(input_ids=tokens).logits
            adapted = PeftModel.from_pretrained(model, adapter)(input_ids=tokens).logits
        assert (edited - plain).abs().max() > least
        torch.testing.assert_close(adapted, edited, rtol=1e-4, atol=1e-4)

    return compare
