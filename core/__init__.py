"""The playground without its page: usable from a script, ignorant of gradio."""
