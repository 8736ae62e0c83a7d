# The addon overlaybd_nbd (native/build/Release/overlaybd_nbd.node). Linux only; Node's own
# common.gypi sets the C++ standard (17 or later) and the rest of the ABI.
{
  'targets': [{
    'target_name': 'overlaybd_nbd',
    'sources': [
      'src/accounts.cc',
      'src/accounts-binding.cc',
      'src/addon.cc',
      'src/address.cc',
      'src/arguments.cc',
      'src/crc32c.cc',
      'src/crc32c-arm.cc',
      'src/crc32c-binding.cc',
      'src/crc32c-table.cc',
      'src/crc32c-x86.cc',
      'src/file.cc',
      'src/file-binding.cc',
      'src/poll-binding.cc',
      'src/socket.cc',
      'src/socket-binding.cc',
    ],
    'include_dirs': ['<!@(node -p "require(\'node-addon-api\').include")'],
    'defines': ['NAPI_VERSION=8', 'NAPI_CPP_EXCEPTIONS', '_FILE_OFFSET_BITS=64'],
    'cflags': ['-O3', '-Wall', '-Wextra', '-fvisibility=hidden'],
    'cflags_cc!': ['-fno-exceptions'],
  }],
}
