/// What this program was built for, as orchestration information names it.
public let currentPlatform: String = {
  #if arch(arm64)
    "linux/arm64"
  #elseif arch(x86_64)
    "linux/amd64"
  #elseif arch(arm)
    "linux/arm"
  #elseif arch(riscv64)
    "linux/riscv64"
  #elseif arch(i386)
    "linux/386"
  #else
    "linux/unknown"
  #endif
}()
