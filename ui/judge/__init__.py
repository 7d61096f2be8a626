"""The page for judges: light, without Gradio."""
