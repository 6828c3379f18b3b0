"""What moved a score: each sentence left out by hand, and parts that add up to the score, of a model with all of them."""

import copy
from dataclasses import dataclass, field, replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers import REGISTERED, small_model
from made_up_scorer import ESSAY, full_scorer

from trm_aes.errors import InputError
from trm_aes.model import encoder_trm
from trm_aes.model.configuration_trm import TRMConfig
from trm_aes.scoring import explaining
from trm_aes.scoring.gradients import POINTS_AT_ONCE, _points_at_once
from trm_aes.scoring.inputs import model_inputs
from trm_aes.scoring.scorer import EssayScore, EssayScorer


@pytest.fixture(scope="module")
def scorer(tokenizer):
    return full_scorer(tokenizer)


@pytest.fixture(scope="module")
def explanation(scorer):
    return scorer.explain(ESSAY, "1")


# ---- Sentences


def test_a_sentence_changes_the_score_by_what_is_lost_without_it(scorer, explanation):
    sentences = [ESSAY[effect.start : effect.end] for effect in explanation.sentences]
    assert sentences == [effect.text for effect in explanation.sentences]
    assert len(sentences) == explanation.num_sentences == 6
    # Written out by hand.
    shortened = ESSAY.replace("I do not think so! ", "")
    [whole, less] = scorer.score([ESSAY, shortened], ["1", "1"])
    # Scored in another batch.
    assert explanation.result.score == pytest.approx(whole.score, abs=1e-5)
    assert replace(explanation.result, score=whole.score) == whole and explanation.prompt_id == "1"
    assert explanation.sentences[2].change == pytest.approx(whole.score - less.score, abs=1e-5)
    assert abs(whole.score - less.score) > 0.01
    # What stood before is not read: without its second place the words are the same, and the features, too.
    assert abs(explanation.sentences[4].change) < 1e-5 < abs(explanation.sentences[1].change)


def test_changes_are_of_the_prompt_that_is_named(scorer, explanation):
    other = scorer.explain(ESSAY, "2")
    assert other.prompt_id == "2" and other.result.score <= 4
    assert other.sentences[2].change != pytest.approx(explanation.sentences[2].change, abs=1e-3)


@dataclass(frozen=True)
class WithTraits(EssayScore):
    """What a scorer with traits says."""

    traits: dict = field(default_factory=dict)


def test_a_sentence_changes_traits_too(tokenizer, monkeypatch):
    scorer = full_scorer(tokenizer)
    score_encoded = scorer.score_encoded

    def with_traits(encoded, prompt_ids):
        results = score_encoded(encoded, prompt_ids)
        # One that goes by the number of word pieces.
        traits = [{"length": SimpleNamespace(score=len(essay.input_ids) / 10)} for essay in encoded]
        return [WithTraits(**{**vars(one), "traits": own}) for one, own in zip(results, traits, strict=True)]

    monkeypatch.setattr(scorer, "score_encoded", with_traits)
    found = scorer.explain("Ships are large. They swim.", "2")
    assert [effect.trait_changes for effect in found.sentences] == [
        {"length": pytest.approx(0.4)},
        {"length": pytest.approx(0.3)},
    ]


def test_an_essay_of_one_sentence_has_none_to_leave_out(scorer):
    found = scorer.explain("Computers are here.", "1")
    assert found.sentences == [] and found.num_sentences == 1 and len(found.words) == 4


def test_many_sentences_are_joined(scorer, monkeypatch):
    essay = " ".join(f"Sentence number {number} is here." for number in range(70))
    found = scorer.explain(essay, "1")
    assert found.num_sentences == 70 and len(found.sentences) == 64 and found.result.was_cut
    assert found.sentences[0].start == 0 and found.sentences[-1].end == len(essay)
    # And further, the longer the text is.
    monkeypatch.setattr(explaining, "MOST_CHARACTERS", 5 * len(essay))
    assert len(scorer.explain(essay, "1").sentences) == 5


@pytest.mark.parametrize(("essay", "prompt_id", "said"), [
    ("", "1", "`essay`: the essay is empty"),
    (3, "1", "`essay`: the essay is not text but int"),
    ("Text.", "9", "`prompt_id`: Unknown prompt_id '9'; this model scores 1, 2"),
    ("Text.", None, "`prompt_id`: No prompt_id, and this model scores several prompts"),
])  # fmt: skip
def test_what_cannot_be_scored_is_not_explained(scorer, essay, prompt_id, said):
    for method in (scorer.explain, scorer.trajectory):
        with pytest.raises(InputError, match=said):
            method(essay, prompt_id)


# ---- Parts


def head_alone(scorer, share):
    """What one head alone gives for the essay, in points, not clipped: a model in which the other has no share."""
    model = copy.deepcopy(scorer.model)
    model.config.lexical_share, model.passage_check = share, None
    [(_, outputs)] = EssayScorer(model, scorer.tokenizer, "one head").outputs(
        [{**vars(scorer.encode([ESSAY], ["1"])[0]), "prompt_id": "1"}]
    )
    return 2 + 10 * float(outputs.logits[0, 0])


def test_words_and_parts_add_up_to_the_lexical_head(scorer, explanation):
    total = sum(word.contribution for word in explanation.words) + sum(explanation.lexical_parts.values())
    assert total == pytest.approx(explanation.lexical_score, abs=1e-9)
    assert total == pytest.approx(head_alone(scorer, 1.0), abs=1e-5)
    names = ["prompt_mean", "constant", "length", "distinct_words", "text_features", "encoder_states"]
    assert list(explanation.lexical_parts) == names and all(explanation.lexical_parts.values())


def test_shares_of_heads_and_the_penalty_add_up_to_the_score(scorer, explanation):
    parts = explanation.score_parts
    assert sum(parts.values()) == pytest.approx(explanation.result.score, abs=1e-5)
    assert parts["lexical_head"] == pytest.approx(0.4 * head_alone(scorer, 1.0), abs=1e-5)
    assert parts["recursive_head"] == pytest.approx(0.6 * head_alone(scorer, 0.0), abs=1e-5)
    # Half of a share of 0.3 standard deviations of 0.1 on a scale of 10 points.
    assert parts["passage_check"] == pytest.approx(-0.5 * 0.3 * 0.1 * 10, abs=1e-5)
    assert parts["scale_ends"] == 0


def test_what_lies_beyond_the_scale_is_a_part_of_its_own(tokenizer):
    scorer = full_scorer(tokenizer)
    scorer.model.model.prompt_bank.score_means.fill_(1.5)
    found = scorer.explain(ESSAY, "1")
    assert found.result.score == 12 and found.score_parts["scale_ends"] < -1
    assert sum(found.score_parts.values()) == pytest.approx(12, abs=1e-5)


def test_a_word_piece_is_found_in_the_text_and_adds_its_weight(scorer, explanation):
    for word in explanation.words:
        assert ESSAY[word.start : word.end].lower() == word.token.removeprefix("##")
    weights = scorer.model.lexical_head.words.weight[:, 0]
    places = [word for word in explanation.words if word.token == "computers"]
    [weight] = weights[scorer.tokenizer.convert_tokens_to_ids(["computers"])].tolist()
    # Four places share 1 + log 4 evenly; a standard deviation is one point of the ten.
    assert len(places) == 4
    for word in places:
        assert word.contribution == pytest.approx(weight * (1 + np.log(4)) / 4, abs=1e-6)


def test_what_repeats_earlier_words_is_not_read(explanation, tokenizer):
    second = ESSAY.rindex("Some say")
    end = second + len("Some say that they are bad.")
    starts = [word.start for word in explanation.words]
    assert not any(second <= start < end for start in starts) and any(start >= end for start in starts)
    reads_all = full_scorer(tokenizer, skip_repetition=False).explain(ESSAY, "1")
    assert len(reads_all.words) == len(starts) + 7


def test_a_separator_that_the_writer_has_typed_is_no_word_of_the_encoder(scorer):
    found = scorer.explain("One [SEP] two. Three four.", "1")
    assert [word.token for word in found.words if not word.recursive] == ["[SEP]"] and len(found.words) == 7
    assert abs(found.recursive_parts["gap"]) < 1e-3


def test_explained_alike_where_nobody_waits_for_the_device(scorer, explanation, monkeypatch):
    """There the encoder gives a row for each token."""
    monkeypatch.setattr(encoder_trm, "can_wait", lambda device: False)
    found = scorer.explain(ESSAY, "1")
    assert [word.token for word in found.words] == [word.token for word in explanation.words]
    expected = [word.recursive for word in explanation.words]
    assert [word.recursive for word in found.words] == pytest.approx(expected, abs=1e-4)


def test_what_was_cut_off_has_no_words(tokenizer):
    found = full_scorer(tokenizer, max_position_embeddings=24).explain(ESSAY, "1")
    assert found.result.was_cut and len(found.words) == 24 - 4 - 3
    assert found.words[-1].start < ESSAY.index("Children")


def test_words_and_parts_add_up_to_the_recursive_head(scorer, explanation):
    added = sum(word.recursive for word in explanation.words)
    assert added + sum(explanation.recursive_parts.values()) == pytest.approx(explanation.recursive_score, abs=1e-9)
    assert explanation.recursive_score == pytest.approx(head_alone(scorer, 0.0), abs=1e-5)
    # Complete: little is missed of what is to be attributed.
    assert abs(explanation.recursive_parts["gap"]) < 1e-3 < 0.01 < abs(added)


def test_integrated_gradients_are_those_of_a_sum_written_out(scorer, explanation):
    """The integral by the midpoint rule, with gradients through a model of which one step is all."""
    inputs = model_inputs(scorer, scorer.encode([ESSAY], ["1"])[0], "1")
    model = full_scorer(scorer.tokenizer, lexical_share=0.0, passage_check=False, H_cycles=4, num_gradient_cycles=4,
                        num_supervision_steps=1).model  # fmt: skip
    states = model.model.encoder.normalize(inputs.pop("encoder_states"))
    mean = states.mean(dim=1, keepdim=True).expand_as(states)
    total = torch.zeros_like(states)
    for point in (np.arange(40) + 0.5) / 40:
        between = (mean + point * (states - mean)).requires_grad_()
        [gradient] = torch.autograd.grad(model(encoder_states=between, **inputs).logits.sum(), between)
        total += gradient / 40
    expected = 10 * ((states - mean) * total).sum(dim=-1)[0]
    assert [word.recursive for word in explanation.words] == pytest.approx(expected.tolist(), abs=1e-4)


@pytest.mark.parametrize("registers", [True, False])
def test_models_without_an_encoder_read_word_embeddings(tokenizer, registers):
    changes = {} if registers else {"prompt_registers": False, "lexical_head": False, "num_latents": 0}
    scorer = plain_scorer(tokenizer, **changes)
    found = scorer.explain(ESSAY, "1")
    added = sum(word.recursive for word in found.words)
    assert added + sum(found.recursive_parts.values()) == pytest.approx(found.recursive_score, abs=1e-9)
    assert abs(found.recursive_parts["gap"]) < 0.01 * sum(abs(word.recursive) for word in found.words)
    assert sum(found.score_parts.values()) == pytest.approx(found.result.score, abs=1e-5)


def plain_scorer(tokenizer, **changes):
    """A scorer without an encoder."""
    settings = {"vocab_size": len(tokenizer), "encoder": None, "auxiliary_targets": None, "max_position_embeddings": 96}
    return EssayScorer(small_model(**{**REGISTERED, **settings, **changes}).eval(), tokenizer, "plain")


def test_a_model_without_a_lexical_head(tokenizer):
    found = plain_scorer(tokenizer, lexical_head=False).explain(ESSAY, "1")
    assert found.lexical_parts == {} and found.lexical_score is None
    assert not any(word.contribution for word in found.words) and any(word.recursive for word in found.words)
    assert list(found.score_parts) == ["recursive_head", "scale_ends"]
    assert sum(found.score_parts.values()) == pytest.approx(found.result.score, abs=1e-5)
    assert any(effect.change for effect in found.sentences)


def test_a_gradient_that_would_fill_the_memory_is_refused():
    latents = TRMConfig(num_latents=16, hidden_size=192, num_attention_heads=6)
    assert _points_at_once(latents, 1024) == POINTS_AT_ONCE
    # As measured of the published shape: 0.64 MB a token and cycle.
    assert _points_at_once(TRMConfig(H_cycles=3, L_cycles=4), 512) == 2
    with pytest.raises(InputError, match="takes about 1[5-9] GB: 512 tokens go through 48 cycles"):
        _points_at_once(TRMConfig(H_cycles=48, L_cycles=4), 512)
