#include <type_traits>

#include "kernels/cuda/cuda_check.hpp"
#include "kernels/cuda/graph_recording.hpp"

namespace fp8cal {
namespace {

struct DestroyGraph {
  void operator()(cudaGraph_t graph) const noexcept { static_cast<void>(cudaGraphDestroy(graph)); }
  void operator()(cudaGraphExec_t graph) const noexcept {
    static_cast<void>(cudaGraphExecDestroy(graph));
  }
};
template <class Handle>
using Owned = std::unique_ptr<std::remove_pointer_t<Handle>, DestroyGraph>;

/// Ends in any case what it began: a stream that is left capturing takes no other work.
class Capture {
 public:
  explicit Capture(cudaStream_t stream) : stream_(stream) {
    FP8CAL_CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
  }
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;
  ~Capture() {
    if (ended_) return;
    cudaGraph_t graph = nullptr;
    static_cast<void>(cudaStreamEndCapture(stream_, &graph));
    static_cast<void>(cudaGetLastError());
    if (graph != nullptr) static_cast<void>(cudaGraphDestroy(graph));
  }

  Owned<cudaGraph_t> end() {
    ended_ = true;
    cudaGraph_t graph = nullptr;
    FP8CAL_CUDA(cudaStreamEndCapture(stream_, &graph));
    return Owned<cudaGraph_t>(graph);
  }

 private:
  cudaStream_t stream_;
  bool ended_ = false;
};

class GraphRecording final : public Recording {
 public:
  GraphRecording(cudaStream_t stream, cudaGraph_t graph) : stream_(stream) {
    cudaGraphExec_t executable = nullptr;
    FP8CAL_CUDA(cudaGraphInstantiate(&executable, graph, 0));
    executable_.reset(executable);
  }

  void replay() override { FP8CAL_CUDA(cudaGraphLaunch(executable_.get(), stream_)); }

 private:
  cudaStream_t stream_;
  Owned<cudaGraphExec_t> executable_;
};

}  // namespace

std::unique_ptr<Recording> record_graph(cudaStream_t stream, const std::function<void()>& calls) {
  Capture capture(stream);
  calls();
  const Owned<cudaGraph_t> graph = capture.end();
  return std::make_unique<GraphRecording>(stream, graph.get());
}

bool is_recording(cudaStream_t stream) {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  FP8CAL_CUDA(cudaStreamIsCapturing(stream, &status));
  return status != cudaStreamCaptureStatusNone;
}

}  // namespace fp8cal
