import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;

/** Replaces entries of a large map, and reports its seconds and the 99th percentile of a batch in ms. */
public class Work {
    private static final int BATCHES = 400, SIZE = 5_000, LIVE = 200_000;

    public static void main(String[] arguments) {
        Map<Integer, byte[]> live = new HashMap<>();
        double[] took = new double[BATCHES];
        long started = System.nanoTime();
        for (int batch = 0; batch < BATCHES; batch++) {
            long begun = System.nanoTime();
            for (int n = 0; n < SIZE; n++) {
                live.put((batch * SIZE + n * 31) % LIVE, new byte[64 + n % 256]);
            }
            took[batch] = (System.nanoTime() - begun) / 1e6;
        }
        double seconds = (System.nanoTime() - started) / 1e9;
        Arrays.sort(took);
        System.out.println(
            "{\"seconds\": " + seconds + ", \"p99\": " + took[BATCHES * 99 / 100] + "}");
    }
}
