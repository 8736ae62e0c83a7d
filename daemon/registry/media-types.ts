// Media types of manifests, indexes and artifacts, and the annotations of overlaybd. Names only.

export const OCI_INDEX = 'application/vnd.oci.image.index.v1+json';
export const OCI_MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
const DOCKER_INDEX = 'application/vnd.docker.distribution.manifest.list.v2+json';
const DOCKER_MANIFEST = 'application/vnd.docker.distribution.manifest.v2+json';

/** The types that are asked for. Registries answer 404 for a manifest whose type is not in this list. */
export const ACCEPTED = [OCI_INDEX, OCI_MANIFEST, DOCKER_INDEX, DOCKER_MANIFEST] as const;

const INDEXES = new Set<string>([OCI_INDEX, DOCKER_INDEX]);
const MANIFESTS = new Set<string>([OCI_MANIFEST, DOCKER_MANIFEST]);
/** Docker schema 1, signed or not. */
const SCHEMA_1 = /^application\/vnd\.docker\.distribution\.manifest\.v1\+(?:json|prettyjws)$/;

export const isIndexType = (type: string): boolean => INDEXES.has(type);
export const isManifestType = (type: string): boolean => MANIFESTS.has(type);
export const isSchema1Type = (type: string): boolean => SCHEMA_1.test(type);

/** Artifacts that are the overlaybd form of the image that they refer to, best first. */
export const OVERLAYBD_ARTIFACTS: readonly string[] = [
  'application/vnd.containerd.overlaybd.native.v1+json',
  'application/vnd.azure.artifact.streaming.v1',
  'application/vnd.containerd.overlaybd.turbo.v1+json',
];

/** SOCI indexes. Version 1 refers to an image, version 2 is named by one. */
export const SOCI_ARTIFACTS: readonly string[] = [
  'application/vnd.amazon.soci.index.v1+json',
  'application/vnd.amazon.soci.index.v2+json',
];
export const SOCI_ANNOTATION = {
  /** Of a manifest: its index of version 2. */
  index: 'com.amazon.soci.index-digest',
  /** Of a ztoc in an index: its layer. */
  layer: 'com.amazon.soci.image-layer-digest',
} as const;
/** What a ztoc is in an index. */
export const ZTOC_TYPE = 'application/octet-stream';
/** What a list of spans to prefetch is in an index. */
export const PREFETCH_TYPE = 'application/vnd.amazon.soci.prefetch.v1+json';

/** Layers that are compressed as a whole: never an overlaybd blob. */
const COMPRESSED = /(?:\+(?:gzip|zstd)|\.(?:gzip|zstd))$/;
export const isCompressedType = (type: string): boolean => COMPRESSED.test(type);
/** Layers that OCIcrypt has encrypted. */
export const isEncryptedType = (type: string): boolean => type.endsWith('+encrypted');

const OVERLAYBD = 'containerd.io/snapshot/overlaybd/';
/** Of a layer's descriptor. */
export const ANNOTATION = {
  blobDigest: `${OVERLAYBD}blob-digest`,
  blobSize: `${OVERLAYBD}blob-size`,
  version: `${OVERLAYBD}version`,
  accelerationLayer: `${OVERLAYBD}acceleration-layer`,
  turboTarget: `${OVERLAYBD}turbo-oci/target-digest`,
  fastociTarget: `${OVERLAYBD}fastoci/target-digest`,
} as const;

/** Of an entry of an index: what it describes is not an image. */
export const REFERENCE_TYPE = 'vnd.docker.reference.type';
/** Of an entry of a layout's index.json: its tag. */
export const REF_NAME = 'org.opencontainers.image.ref.name';
export const CREATED = 'org.opencontainers.image.created';
