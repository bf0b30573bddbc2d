# docker build -t dyod-studio .                             CPU
# docker build -t dyod-studio --build-arg TORCH=cu126 .     NVIDIA cards, Pascal included
# docker run --init -p 127.0.0.1:7860:7860 -v dyod-storage:/app/storage dyod-studio
FROM python:3.12-slim

# Which of PyTorch's own wheel indexes the torch comes from: cpu or cu126.
ARG TORCH=cpu

ENV PYTHONUNBUFFERED=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1

WORKDIR /app
COPY requirements.txt .
RUN pip install --index-url "https://download.pytorch.org/whl/${TORCH}" \
        "$(sed -n 's/^\(torch==[0-9.]*\).*/\1/p' requirements.txt)" \
    && pip install -r requirements.txt

COPY app.py LICENSE ./
COPY dyod_studio ./dyod_studio
COPY assets ./assets
RUN useradd --create-home --uid 1000 studio \
    && mkdir storage \
    && chown studio:studio storage
USER studio

# The container's own network: publish the port on 127.0.0.1 to keep the studio private.
# Base models fetched from the hub are kept in the volume.
ENV DYOD_HOST=0.0.0.0 \
    DYOD_STORAGE=/app/storage \
    HF_HOME=/app/storage/hub
VOLUME /app/storage
EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:7860/', timeout=8)"]
CMD ["python", "app.py"]
