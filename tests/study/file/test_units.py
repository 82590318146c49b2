"""Corpora of units, among them twins of corpora that are twins already."""

import json

import pytest

from behemoth import Corpus, World
from behemoth.edit.methods.retrain import Retraining
from behemoth.study.file.units import CorpusUnit


@pytest.mark.parametrize("follow", [False, True])
def test_twins_of_a_twin_let_composed_facts_do_as_its_own_do(follow):
    parent = Corpus(World(30, 2, 12, nested=4), exposures=3).override({0: 3}, follow=follow)
    spec = json.loads(json.dumps(parent.spec))
    unit = CorpusUnit(spec["world"], spec["corpus"], replaced=[[20, 1]])
    assert unit.corpus["twin"]["follow"] is follow
    twin = unit.make()
    assert twin.spec_hash == parent.override({20: 1}, follow=follow).spec_hash
    assert twin.world.objects(0, 2) == parent.world.objects(0, 2)
    # With its default setting the oracle takes the run on this twin over.
    assert Retraining().twin_with({20: 1}, parent).spec_hash == twin.spec_hash
