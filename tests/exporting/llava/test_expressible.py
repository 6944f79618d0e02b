"""What LLaVA cannot express is refused in one line."""

import pytest

import polymodal as pm
from polymodal.data.chat.chat_tokenizer import add_placeholders, train_language_tokenizer
from polymodal.exporting.llava import to_llava
from polymodal.models import PolymodalForConditionalGeneration
from polymodal.models.encoders import AudioEncoder, ImageEncoder
from tests.support.checkpoints import CHECKPOINTS
from tests.support.llava_runs import NAME, Made, language_model, save_tower


@pytest.fixture(scope="module")
def tower(tmp_path_factory):
    return save_tower(tmp_path_factory.mktemp("towers"), "clip")


def refused(made):
    with pytest.raises(pm.RunError) as found:
        to_llava(made.model, made.tokenizer, made.part, made.placeholder)
    line = str(found.value)
    assert "\n" not in line
    return line


def of_encoders(**encoders):
    """A model that reads these inputs, and what its export says."""
    tokenizer = train_language_tokenizer(["a b"], 400)
    placeholders = add_placeholders(tokenizer, encoders)
    model = PolymodalForConditionalGeneration.from_parts(
        encoders, language_model("llama", len(tokenizer)), placeholders
    )
    with pytest.raises(pm.RunError) as found:
        to_llava(model, tokenizer, None, f"<|{NAME}|>")
    return str(found.value)


def test_one_picture_input_and_no_other(tower):
    encoder = ImageEncoder(tower, layer=-2)
    one = "LLaVA reads one input, of pictures, and this model"
    assert of_encoders().startswith(f"{one} has none. Fit one with a picture alone")
    assert of_encoders(photo=encoder, plan=encoder).startswith(f"{one} reads photo (image), plan (image).")
    voice = AudioEncoder("resnet")
    assert of_encoders(voice=voice).startswith(f"{one} reads voice (audio).")
    assert of_encoders(photo=encoder, voice=voice).startswith(f"{one} reads photo (image), voice (audio).")


def test_its_encoder_is_a_checkpoint_of_clip_or_siglip(tmp_path):
    said = (
        "'photo' is read by an encoder from scratch, and LLaVA has CLIP's and SigLIP's checkpoints. Fit with"
    )
    assert of_encoders(photo=ImageEncoder("resnet")).startswith(said)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
    scratch = ImageEncoder("clip_vision_model", size=16, patch_size=4, layer=-2, **sizes)
    assert of_encoders(photo=scratch).startswith(said)
    CHECKPOINTS["vit"].save(tmp_path)
    vit = ImageEncoder(str(tmp_path), layer=-2)
    assert of_encoders(photo=vit).startswith("'photo' is read by a model of type 'vit', and LLaVA has CLIP's")


def test_a_hidden_layer_goes_through_an_mlp(tower):
    line = refused(Made(tower, "llama", layer=None))
    assert line.startswith(
        "'photo' is read from the encoder's last layer, pooled to 'tokens', and LLaVA reads"
    )
    assert line.endswith("Fit with 'connector: {type: mlp, layer: -2}' under that input")
    line = refused(Made(tower, "llama", connector="resampler"))
    assert line.startswith("'photo' goes through a 'resampler', and LLaVA's connector is an 'mlp'. Fit with")


OTHERS = {
    "gpt2": "has weights named transformer.wte.weight, and LLaVA's are model.… and lm_head.weight. Take",
    "gpt_neox": "has weights named gpt_neox.",
    "phi": "has weights named lm_head.bias",
    "cohere": "does more with its last layer than LLaVA: logits differ by",
    "gemma2": "does more with its last layer than LLaVA: logits differ by",
    "granite": "does more with its last layer than LLaVA: logits differ by",
}


@pytest.mark.parametrize("kind", OTHERS)
def test_language_models_that_are_no_llama(tower, kind):
    more = {"logits_scaling": 8.0} if kind == "granite" else {}
    if kind == "gemma2":
        more = {"final_logit_softcapping": 5.0}
    if kind == "gpt2":
        more = {"n_embd": 16, "n_layer": 1, "n_head": 2}
    line = refused(Made(tower, kind, **more))
    assert line.startswith(f"a language model of type '{kind}' {OTHERS[kind]}"), line


def test_weights_that_are_not_all_the_same_are_refused(tower, monkeypatch):
    """Nothing is silently random: not where Transformers names a weight otherwise some day."""
    made = Made(tower, "llama")
    kept = type(made.model.encoder(NAME).backbone).state_dict

    def one_less(self, *args, **kwargs):
        held = kept(self, *args, **kwargs)
        return {name: value for name, value in held.items() if "position_embedding" not in name}

    monkeypatch.setattr(type(made.model.encoder(NAME).backbone), "state_dict", one_less)
    assert "do not have the same weights: model.vision_tower.embeddings.position_embedding" in refused(made)
