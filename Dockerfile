# The twin without broker and database: one image, each process another command. See compose.yaml.
FROM python:3.11-slim-bookworm

# A number of its own, so that files it writes on the host are recognised; /data and /layers are handed to new volumes
RUN useradd --system --uid 10001 --user-group --no-create-home --home-dir /data gaoxin \
    && install -d -o gaoxin -g gaoxin /data /layers

WORKDIR /build
COPY . .
RUN pip install --no-cache-dir -c constraints.txt '.[postgresql]' && rm -rf /build/*

USER gaoxin
WORKDIR /data
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 GAOXIN_DATA=/data GAOXIN_LAYERS=/layers
ENTRYPOINT ["gaoxin"]
CMD ["doctor"]
