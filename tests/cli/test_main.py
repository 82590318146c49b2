"""The command line as a whole: help, version, tracebacks, and commands that do not exist."""


def test_debug_shows_the_traceback(run, tmp_path):
    for words in (("--debug", "gen", "--facts", "x"), ("gen", "--facts", "x", "--debug")):
        ran = run(*words, "--out", tmp_path / "c")
        assert ran.code == 2
        assert "Traceback" in ran.err
        assert "ArgumentError" in ran.err


def test_an_unknown_command_names_its_neighbour(run):
    message = run("gne").refused()
    assert message.startswith(
        "argument 'COMMAND': got gne (did you mean gen?), allowed: gen, inspect, verify, facts,"
    )


def test_help_names_every_option_and_no_command_is_help(run):
    ran = run("gen", "--help")
    assert ran.code == 0
    options = """facts subjects relations objects spec exposures order templates inversion minority
        nested correlated questions paraphrases seed order-seed threads part engine dry-run force
        schedule filler background insert combinations json out probes"""
    for option in options.split():
        assert f"--{option} " in ran.out
    assert run().code == 0
    assert "Commands:" in run().out


def test_the_version_is_that_of_the_engine(run):
    from behemoth._gen import version

    assert run("--version").out == version() + "\n"
