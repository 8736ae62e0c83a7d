// The names that images in registries are written with: media types, and the annotations of overlaybd layers.

export interface MediaTypes {
  readonly index: string;
  readonly manifest: string;
  readonly config: string;
  /** Of an uncompressed layer. */
  readonly layer: string;
  readonly gzipLayer: string;
}

export const OCI: MediaTypes = {
  index: 'application/vnd.oci.image.index.v1+json',
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
  layer: 'application/vnd.oci.image.layer.v1.tar',
  gzipLayer: 'application/vnd.oci.image.layer.v1.tar+gzip',
};

export const DOCKER: MediaTypes = {
  index: 'application/vnd.docker.distribution.manifest.list.v2+json',
  manifest: 'application/vnd.docker.distribution.manifest.v2+json',
  config: 'application/vnd.docker.container.image.v1+json',
  layer: 'application/vnd.docker.image.rootfs.diff.tar',
  gzipLayer: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
};

/** What begins the name of every annotation of an overlaybd layer. */
export const OVERLAYBD = 'containerd.io/snapshot/overlaybd/';

/** `artifactType` of an overlaybd image that refers to the image it was made from. */
export const NATIVE_ARTIFACT = 'application/vnd.containerd.overlaybd.native.v1+json';

export interface Platform {
  readonly os: string;
  readonly architecture: string;
  readonly variant?: string;
}

/** OCI's descriptor: how one object names another. */
export interface Descriptor {
  readonly mediaType: string;
  /** "sha256:" and 64 hexadecimal digits. */
  readonly digest: string;
  /** Bytes. */
  readonly size: number;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly artifactType?: string;
  readonly platform?: Platform;
}
