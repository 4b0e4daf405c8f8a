package org.headrace.flink;

import org.apache.flink.client.program.PackagedProgram;
import org.apache.flink.client.program.ProgramInvocationException;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.runtime.entrypoint.ClusterEntrypointUtils;

import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.ObjectMapper;

import java.io.File;
import java.io.IOException;
import java.net.URL;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** The program of a job cluster, as the options describe it: a jar, its main class and arguments. */
final class JobProgram {

    private JobProgram() {}

    static PackagedProgram of(Configuration configuration) throws JobMistake {
        String jar = configuration.get(HeadraceOptions.JOB_JAR);
        PackagedProgram.Builder program =
                PackagedProgram.newBuilder()
                        .setJarFile(new File(jar))
                        .setUserClassPaths(List.of())
                        .setConfiguration(configuration)
                        .setEntryPointClassName(configuration.get(HeadraceOptions.JOB_CLASS));
        try {
            // The first finds the main class, or what is wrong with it; the second runs it for us.
            List<String> words = new ArrayList<>();
            try (PackagedProgram first = program.build()) {
                words.add(first.getMainClassName());
            }
            words.addAll(List.of(arguments(configuration)));
            return program.setEntryPointClassName(ProgramMain.class.getName())
                    .setArguments(words.toArray(new String[0]))
                    .build();
        } catch (ProgramInvocationException | IOException | IllegalArgumentException e) {
            throw new JobMistake(
                    String.format(
                            "the job in %s can't be run: %s", jar, PlannerMessage.of(e)),
                    e);
        }
    }

    /** The jars of the directory usrlib beside Flink's lib; none if there is no such directory. */
    static List<Path> userLibraries() {
        List<Path> jars = new ArrayList<>();
        File directory = ClusterEntrypointUtils.tryFindUserLibDirectory().orElse(null);
        File[] files = directory == null ? null : directory.listFiles();
        for (File file : files == null ? new File[0] : files) {
            if (file.getName().endsWith(".jar")) {
                jars.add(file.toPath());
            }
        }
        return jars;
    }

    static List<URL> urls(List<Path> jars) throws IOException {
        List<URL> urls = new ArrayList<>();
        for (Path jar : jars) {
            urls.add(jar.toAbsolutePath().toUri().toURL());
        }
        return urls;
    }

    private static String[] arguments(Configuration configuration) throws IOException {
        String file = configuration.get(HeadraceOptions.JOB_ARGUMENTS_FILE);
        return file == null
                ? new String[0]
                : new ObjectMapper().readValue(new File(file), String[].class);
    }
}
