# The addon overlaybd_nbd (native/build/Release/overlaybd_nbd.node). Linux only; Node's own
# common.gypi sets the C++ standard (17 or later) and the rest of the ABI.
{
  'targets': [{
    'target_name': 'overlaybd_nbd',
    'sources': [
      'src/addon.cc',
      'src/address.cc',
      'src/arguments.cc',
      'src/attributes.cc',
      'src/attributes-binding.cc',
      'src/block-decoder.cc',
      'src/block-decoder-binding.cc',
      'src/cache-file.cc',
      'src/cache-file-binding.cc',
      'src/cache-jobs.cc',
      'src/codec-library.cc',
      'src/crc32c.cc',
      'src/crc32c-arm.cc',
      'src/crc32c-binding.cc',
      'src/crc32c-table.cc',
      'src/crc32c-x86.cc',
      'src/decode-crew.cc',
      'src/descriptors.cc',
      'src/descriptors-binding.cc',
      'src/file.cc',
      'src/file-binding.cc',
      'src/file-jobs.cc',
      'src/file-pipe.cc',
      'src/file-pipe-binding.cc',
      'src/file-pool.cc',
      'src/file-pool-binding.cc',
      'src/file-table.cc',
      'src/file-windows.cc',
      'src/genl.cc',
      'src/guard.cc',
      'src/inflater.cc',
      'src/inflater-binding.cc',
      'src/memory.cc',
      'src/memory-binding.cc',
      'src/mount-of-path.cc',
      'src/nbd-ioctl.cc',
      'src/nbd-ioctl-binding.cc',
      'src/nbd-netlink.cc',
      'src/nbd-netlink-binding.cc',
      'src/poll-binding.cc',
      'src/process.cc',
      'src/process-binding.cc',
      'src/socket.cc',
      'src/socket-binding.cc',
      'src/unix-listener.cc',
    ],
    'defines': [
      'NAPI_VERSION=8',
      'NAPI_CPP_EXCEPTIONS',
      # An environment that is ending takes no exception: that must not end the process (guard.h).
      'NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS',
      '_FILE_OFFSET_BITS=64',
    ],
    # Warnings are errors only where the project is developed (build-if-changed): the next compiler has new
    # ones, and they must not break an installation.
    'cflags': [
      # As a system header, so that its warnings do not count.
      '-isystem', '<!(node -p "path.resolve(require(\'node-addon-api\').include_dir)")',
      '-O3', '-Wall', '-Wextra', '-Wconversion', '-Wshadow', '-fvisibility=hidden',
      '-U_FORTIFY_SOURCE', '-D_FORTIFY_SOURCE=2', '-fstack-protector-strong',
    ],
    'cflags_cc!': ['-fno-exceptions'],
    # nodelete: a thread that was given up may come back after every environment that used the addon has
    # ended.
    'ldflags': ['-Wl,-z,nodelete', '-Wl,-z,relro', '-Wl,-z,now'],
    'libraries': ['-ldl'],
  }],
}
