"""The step and the table of features are what compose writes, and what cannot be computed is refused by name."""

import inspect
import re

import numpy as np
import pytest

from robo_trader.core.errors import DataError
from robo_trader.features import compiled, compose, kernels, step
from robo_trader.features.compose import WrongFeature, ordered, source_of_docs, source_of_step
from robo_trader.features.kernels import Now, kernel
from robo_trader.features.price import CloseLocation, Price
from robo_trader.features.technical_indicators import CATALOGUE, NAMES
from robo_trader.features.trend import Ema, Macd, MacdSignal, Sma
from tests.features.conftest import features_of, random_bars
from tests.features.interpreted import interpreted

DOCS = compose.HERE.parents[1] / "docs" / "features.md"


class Needing(Price):
    """A formula of this test: {words}.

    Source: none.
    """

    def __init__(self, name, words, **needs):
        super().__init__(name, 1, 1, needs=needs)
        self.words = words

    @staticmethod
    @kernel
    def step(now: Now, other: float) -> float:
        return now.close + other


def test_the_step_in_the_tree_is_what_compose_writes():
    assert compose.STEP.read_text() == source_of_step()


def test_the_table_of_features_in_the_tree_is_what_compose_writes():
    assert DOCS.read_text() == source_of_docs()


def test_the_table_says_of_every_feature_its_formula_lookback_warm_up_and_source():
    rows = {
        found[1]: found[0] for found in re.finditer(r"^\| `(\w+)` \| .*$", DOCS.read_text(), re.MULTILINE)
    }
    assert list(rows) == list(NAMES)
    for feature in CATALOGUE:
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", rows[feature.name])]
        assert cells[2].replace("\\|", "|") == feature.formula
        assert cells[3:6] == [str(feature.lookback), str(feature.warmup), str(feature.sessions)]
        assert cells[7] == feature.source


def test_what_is_needed_is_computed_first():
    found = [feature.name for feature in ordered([MacdSignal(), Macd(), Ema(26), Ema(12)])]
    assert found == ["ema_12", "ema_26", "macd", "macd_signal"]


def test_the_order_of_the_vector_is_that_of_the_catalogue():
    writes = re.findall(r"^    out\[(\d+)\] = (\w+)$", compose.STEP.read_text(), re.MULTILINE)
    assert writes == [(str(i), name) for i, name in enumerate(NAMES)]


def test_a_feature_that_needs_what_nobody_computes_is_refused():
    with pytest.raises(WrongFeature, match="lonely: nobody computes 'sma_7'"):
        source_of_step([Sma(5), Needing("lonely", "unknown", other="sma_7")])


def test_features_that_need_each_other_are_refused():
    ring = [Needing("hen", "from the egg", other="egg"), Needing("egg", "from the hen", other="hen")]
    with pytest.raises(WrongFeature, match="hen needs egg needs hen"):
        source_of_step(ring)


def test_a_feature_that_needs_itself_is_refused():
    with pytest.raises(WrongFeature, match="self needs self"):
        source_of_step([Needing("self", "itself", other="self")])


def test_two_features_of_one_name_are_refused():
    with pytest.raises(WrongFeature, match="sma_5: two features have this name"):
        source_of_step([Sma(5), Ema(5), Sma(5)])


def test_two_classes_of_one_name_are_refused():
    other = type("Sma", (CloseLocation,), {})()
    with pytest.raises(WrongFeature, match="Sma: two classes have this name"):
        source_of_step([Sma(5), other])


def test_the_numbers_of_one_feature_are_not_those_of_another():
    written = source_of_step([Ema(5), Sma(5), Ema(10)])
    first, second = re.findall(r"ema_\d+ = Ema\(s, (\d+)", written)
    assert (int(first), int(second)) == (kernels.OWN, kernels.OWN + 1)
    assert f"SIZE = {kernels.OWN + 2} " in written


def test_a_changed_room_is_refused_until_the_step_is_written_anew(monkeypatch):
    class Cold:
        signatures = ()

    monkeypatch.setattr(step, "COMPILED", ((Cold(), "void()"),))
    monkeypatch.setattr(step, "FINGERPRINT", "of an older room")
    with pytest.raises(DataError, match=re.escape("`python -m robo_trader.features.compose`")):
        compiled.compile_kernels()


def test_the_version_follows_the_arithmetic_and_not_the_words(monkeypatch):
    before = compose.arithmetic()
    assert before == step.ARITHMETIC
    source = inspect.getsource
    monkeypatch.setattr(inspect, "getsource", lambda x: source(x).replace("Divide, or say", "Divide; say"))
    assert compose.arithmetic() == before
    monkeypatch.setattr(inspect, "getsource", lambda x: source(x).replace("whole > 0.0", "whole >= 0.0"))
    assert compose.arithmetic() != before


def test_the_version_follows_a_constant(monkeypatch):
    before = compose.arithmetic()
    monkeypatch.setattr(kernels, "TIE", 1e-9)
    assert compose.arithmetic() != before


def test_the_version_follows_a_number_of_a_feature():
    wide, narrow = Sma(5), Sma(5)
    narrow.period = 6
    assert compose.arithmetic([wide]) != compose.arithmetic([narrow])


def test_any_features_can_be_stepped_through_alone():
    bars = random_bars(60)
    with interpreted([Sma(7), Ema(7)]):
        told = features_of(bars.close)
    assert list(told) == ["sma_7", "ema_7"]
    assert told["sma_7"][-1] == pytest.approx(bars.close[-7:].mean())
    assert np.isnan(told["ema_7"][:6]).all()
