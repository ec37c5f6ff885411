// A small platform plugin in C++.
//
// It serves models of one file, `offset.txt`, that holds two numbers, `a` and `b`: y = a * x + b.
//
//     c++ -std=c++17 -O2 -shared -fPIC -fvisibility=hidden -I plugins/c -o liboffset.so plugins/c/example/offset.cpp
//     cp liboffset.so <the server's plugin directory>
//     mkdir -p models/m/1 && echo "2 1" > models/m/1/offset.txt

#include <fstream>

#include "salver_plugin.hpp"

class Offset : public salver::Model {
  public:
    Offset(float a, float b) : a_(a), b_(b) {}

    std::vector<salver::Signature> signatures() const override {
        return {{{{"x", SALVER_F32, std::nullopt}}, {{"y", SALVER_F32, std::nullopt}}}};
    }

    std::vector<salver::Tensor> run(const salver::Request &request) override {
        salver::TensorView x = request.input(0);
        const float *elements = x.data<float>();
        std::vector<float> y(elements, elements + x.size<float>());
        for (float &element : y) {
            element = a_ * element + b_;
        }
        std::vector<salver::Tensor> outputs;
        if (!request.outputs().empty()) {
            outputs.emplace_back(x.shape(), std::move(y));
        }
        return outputs;
    }

  private:
    float a_, b_;
};

class OffsetPlatform : public salver::Platform {
  public:
    std::string name() const override { return "offset"; }

    std::optional<std::string> probe(const std::string &directory) override {
        return std::ifstream(directory + "/offset.txt") ? std::optional<std::string>("offset.txt") : std::nullopt;
    }

    std::unique_ptr<salver::Model> load(const std::string &directory, const SalverLoadRequest &) override {
        std::ifstream file(directory + "/offset.txt");
        float a, b;
        if (!(file >> a >> b)) {
            throw salver::Error(SALVER_INVALID_ARGUMENT, "`offset.txt` does not hold two numbers");
        }
        return std::make_unique<Offset>(a, b);
    }
};

SALVER_PLUGIN_NOTE("minimal-cpp", "0.1.0", "offset");
SALVER_EXPORT_PLATFORMS(OffsetPlatform)
