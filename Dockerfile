# Kontext Studio on a server of your own; docs/hosting.md says how to run it.
FROM python:3.11-slim

# The app runs as somebody who owns the data folder and nothing else.
RUN useradd --system --uid 10001 --home-dir /data --shell /usr/sbin/nologin kontext && \
    install --directory --owner=kontext --mode=0700 /data

WORKDIR /app
COPY requirements.txt requirements-postgres.txt ./
RUN pip install --no-cache-dir --disable-pip-version-check -r requirements.txt -r requirements-postgres.txt
# .dockerignore lets through what the app needs to run, and nothing else: no .env, no data, no tests.
COPY . ./
RUN python -m compileall -q .

ENV KONTEXT_DATA_DIR=/data GRADIO_SERVER_NAME=0.0.0.0 GRADIO_SERVER_PORT=7860 PYTHONUNBUFFERED=1
VOLUME /data
EXPOSE 7860
USER kontext
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:7860/readyz', timeout=4)"]
# As a list, so that the app itself is process 1 and hears SIGTERM.
CMD ["python", "app.py"]
