"""A Transformers pipeline for essay scoring: essays in, scores on each prompt's own scale out."""

from typing import Any

import torch
from transformers import Pipeline

from .advisories_trm import advisories_of
from .essay_tokens import encode_for_model, find_prompt_id, prompt_index_of

# This and the text features are needed by essay_tokens: older Transformers (5.4, say) copy no file that this one does not
# name itself.
from .repetition import without_repetition  # noqa: F401
from .score_scale import ScoreRange
from .text_features_trm import text_features  # noqa: F401


class EssayScoringPipeline(Pipeline):
    """
    Scores essays with a [`TRMForEssayScoring`].

    Example:

    ```python
    from transformers import pipeline

    scorer = pipeline("essay-scoring", model="user/trm-essay-scorer", trust_remote_code=True)
    scorer({"essay": "My essay …", "prompt_id": "4"})
    # {'score': 2.31, 'rounded_score': 2, 'confidence': 0.71, 'supervision_steps': 1, 'prompt_id': '4', 'was_cut': False,
    #  'advisories': ['Too Brief']}
    ```

    An input is an essay, or a dictionary of `essay` and, where the model scores several prompts, `prompt_id` or `prompt`
    (the prompt's text, one of those that the model knows). A list of inputs gives a list of results; `batch_size=…`
    scores several at once.

    A result has `score` (on the prompt's scale, not rounded; where scores are labels, their place in the list, the lowest
    being 1), `rounded_score` (a score of the scale: 3, 6.5, or a label such as "B2"), `confidence` (0-1: the halting
    head's probability that this is the score a human would give), `supervision_steps`, `prompt_id`, `was_cut`
    (whether the essay was too long, so that its end was not read), and `advisories` (what a person should know of the
    essay before its score is used: see advisories_trm.py). A model with an error model adds `predicted_error` (how far
    the human score is expected to be from the rounded one, in points or steps from label to label), and `score_low` and
    `score_high` (ends of the set of scores that holds the human one with a probability of 0.9). A model of traits adds
    `traits`: `{"organization": {"score": 3.4, "rounded_score": 3}, …}`, of those that the prompt has.
    """

    _load_processor = False  # type: ignore[assignment]
    _load_image_processor = False  # type: ignore[assignment]
    _load_feature_extractor = False  # type: ignore[assignment]
    _load_tokenizer = True  # type: ignore[assignment]

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if not self.model.config.score_ranges:
            raise ValueError(
                "The model has no `score_ranges` in its configuration: it cannot tell what its scores mean."
            )

    def _sanitize_parameters(self, num_supervision_steps: int | None = None, **kwargs):
        if kwargs:
            raise ValueError(f"Unknown options of the essay-scoring pipeline: {', '.join(kwargs)}.")
        steps = {} if num_supervision_steps is None else {"num_supervision_steps": num_supervision_steps}
        return {}, steps, {}

    def preprocess(self, input_: str | dict[str, str], **parameters: Any) -> dict[str, Any]:
        """An input to the model's tensors, each with a batch of one, and what the result says beside the scores."""
        inputs = {"essay": input_} if isinstance(input_, str) else input_
        unknown = set(inputs) - {"essay", "prompt", "prompt_id"}
        if unknown or not isinstance(inputs.get("essay"), str):
            raise ValueError(f"An input is an essay, or a dictionary of essay and prompt_id or prompt, not {inputs!r}.")
        if not inputs["essay"].strip():
            raise ValueError("The essay is empty.")
        named = inputs.get("prompt_id")
        prompt_id = find_prompt_id(self.model.config, None if named is None else str(named), inputs.get("prompt"))
        if self.tokenizer is None:
            raise ValueError("The pipeline has no tokenizer: give the one that was saved with the model.")
        [encoded] = encode_for_model(self.tokenizer, self.model.config, [prompt_id], [inputs["essay"]])
        model_inputs = {
            "input_ids": torch.tensor([encoded.input_ids]),
            "token_type_ids": torch.tensor([encoded.token_type_ids]),
            "attention_mask": torch.ones(1, len(encoded.input_ids), dtype=torch.long),
            "prompt_id": prompt_id,
            "was_cut": encoded.essay_tokens_cut > 0,
            "text_measures": encoded.text_measures,
        }
        if encoded.text_features is not None:
            model_inputs["text_features"] = torch.tensor([encoded.text_features])
        prompt_index = prompt_index_of(self.model.config)
        if prompt_index:
            model_inputs["prompt_indices"] = torch.tensor([prompt_index[prompt_id]])
        return model_inputs

    def _forward(self, input_tensors: dict[str, Any], **forward_parameters: Any) -> Any:
        """Scores (0-1) and confidences of a batch, `(batch,)`, and what an error model says of them."""
        own = {name: input_tensors.pop(name) for name in ("prompt_id", "was_cut", "text_measures")}
        outputs = self.model(**input_tensors, **forward_parameters)
        result = {
            "normalized": outputs.logits[:, 0],
            **({"traits": outputs.logits[:, 1:]} if self.model.config.traits else {}),
            "confidence": outputs.halt_logits.float().sigmoid(),
            "supervision_steps": outputs.steps_used,
            **({} if outputs.unlike_shares is None else {"unlike_shares": outputs.unlike_shares}),
            **own,
        }
        if outputs.predicted_errors is not None:
            # Of the first level, 0.9.
            result |= {"predicted_error": outputs.predicted_errors, "interval": outputs.score_intervals[:, 0]}
        return result

    def postprocess(self, model_outputs: Any, **parameters: Any) -> dict[str, Any]:
        """The result of one essay, its score on its prompt's scale."""
        prompt_id = model_outputs["prompt_id"]
        score_range = ScoreRange.from_list(self.model.config.score_ranges[prompt_id])
        score = float(score_range.denormalize(model_outputs["normalized"].item()))
        result = {
            "score": score,
            "rounded_score": score_range.shown(score),
            "confidence": model_outputs["confidence"].item(),
            "supervision_steps": int(model_outputs["supervision_steps"].item()),
            "prompt_id": prompt_id,
            "was_cut": model_outputs["was_cut"],
            "advisories": self._advisories(model_outputs),
        }
        if "traits" in model_outputs:
            result["traits"] = self._traits(model_outputs["traits"].flatten().tolist(), prompt_id)
        if "interval" in model_outputs:
            interval_low, interval_high = model_outputs["interval"].flatten().tolist()
            low, high = score_range.ends(interval_low, interval_high, score)
            result |= {
                "predicted_error": model_outputs["predicted_error"].item() * score_range.span,
                "score_low": score_range.shown(low),
                "score_high": score_range.shown(high),
            }
        return result

    def _traits(self, normalized: list[float], prompt_id: str) -> dict[str, dict[str, Any]]:
        """The scores of the traits that a prompt has, on their scales in it."""
        found = {}
        for value, (trait, ranges) in zip(normalized, self.model.config.traits.items(), strict=True):
            if prompt_id in ranges:
                score_range = ScoreRange.from_list(ranges[prompt_id])
                score = float(score_range.denormalize(value))
                found[trait] = {"score": score, "rounded_score": score_range.shown(score)}
        return found

    def _advisories(self, model_outputs: dict[str, Any]) -> list[str]:
        measures, shares = model_outputs["text_measures"], model_outputs.get("unlike_shares")
        if measures is None:
            return []
        shares = None if shares is None else shares.flatten().tolist()
        return list(advisories_of(self.model.config, model_outputs["prompt_id"], measures, shares))
