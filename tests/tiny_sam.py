"""The Segment Anything Model with few and random weights, as a folder."""

from pathlib import Path

import torch


def tiny_sam(folder: Path, seed: int = 0) -> Path:
    """Writes config.json and model.safetensors as transformers does."""
    from transformers import (
        SamConfig,
        SamMaskDecoderConfig,
        SamModel,
        SamPromptEncoderConfig,
        SamVisionConfig,
    )

    shape = {"image_size": 64, "patch_size": 8}
    config = SamConfig(
        vision_config=SamVisionConfig(
            **shape,
            hidden_size=16,
            output_channels=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            num_pos_feats=8,
            mlp_dim=16,
            window_size=4,
            global_attn_indexes=[0],
        ).to_dict(),
        prompt_encoder_config=SamPromptEncoderConfig(
            **shape, image_embedding_size=8, hidden_size=16, mask_input_channels=4
        ).to_dict(),
        mask_decoder_config=SamMaskDecoderConfig(
            hidden_size=16,
            mlp_dim=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            iou_head_hidden_dim=16,
            iou_head_depth=2,
        ).to_dict(),
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = SamModel(config)
        for one in model.parameters():
            if one.dim() > 1 and not one.any():  # places, which training fills
                torch.nn.init.normal_(one, std=0.02)
        model.save_pretrained(folder)
    return folder
